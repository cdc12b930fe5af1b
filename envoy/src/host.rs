//! What is asked of Envoy for one request, and what it is told to do.

use std::time::Duration;

use secure_callbacks::{Answer, Code, Reservation, Settled, UnixSeconds};

/// The host refused a call that the filter can't do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFailed;

/// A set of fields of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The header fields.
    Headers,
    /// The trailer fields.
    Trailers,
}

/// What Envoy knows of a request besides its bytes, named as Envoy names its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `source.address`: `ip:port`, an IPv6 address in brackets, as Envoy trusts it.
    SourceAddress,
    /// `request.url_path`: the path, without its query.
    Path,
    /// `connection.sha256_peer_certificate_digest`: 64 hex digits, where a certificate was shown, and only there.
    PeerDigest,
    /// `connection.subject_peer_certificate`, as RFC 2253 writes it.
    PeerSubject,
    /// The peer's certificate in PEM.
    PeerCertificate,
    /// `response.code_details`: where an answer comes from.
    CodeDetails,
}

/// A whole answer to the caller.
#[derive(Debug)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header fields.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a str,
    /// What the operator's access log shows as response code details.
    pub details: &'a str,
}

/// What the filter asks of Envoy for one request. Nothing here panics, whatever the request holds.
pub trait Host {
    /// The metrics of one policy.
    type Metrics;
    /// What one policy remembers.
    type Store;
    /// What remembers for a whole fleet, as one policy asks it.
    type SharedStore;

    /// The time since 1970-01-01 UTC.
    fn time(&self) -> Duration;
    /// Shows each field, names in lower case, in the order they came.
    ///
    /// # Errors
    /// If they can't be read.
    fn each_field(&self, part: Part, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), HostFailed>;
    /// Adds a header to the request.
    ///
    /// # Errors
    /// If that can't be done.
    fn add_header(&self, name: &str, value: &str) -> Result<(), HostFailed>;
    /// Removes every copy of a field.
    ///
    /// # Errors
    /// If that can't be done.
    fn remove_field(&self, part: Part, name: &[u8]) -> Result<(), HostFailed>;
    /// Shows bytes of the body that was received so far, in one piece or in several: `length` of them, or fewer, from
    /// `start` on. What was shown does not change any more.
    ///
    /// # Errors
    /// If they can't be read.
    fn body(&self, start: usize, length: usize, show: &mut dyn FnMut(&[u8])) -> Result<(), HostFailed>;
    /// Answers the caller.
    ///
    /// # Errors
    /// If that can't be done.
    fn reply(&self, response: &Response<'_>) -> Result<(), HostFailed>;
    /// The status of the response that goes back.
    fn response_status(&self) -> Option<u16>;
    /// An attribute of the request or its connection; `None` if there is none.
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>>;
    /// Sets filter state, for the access log.
    fn set_state(&self, key: &str, value: &str);
    /// Counts a verdict.
    fn count(&self, metrics: &Self::Metrics, code: Code);
    /// Reserves a callback.
    fn reserve(&self, store: &Self::Store, reservation: &Reservation, now: UnixSeconds) -> Answer;
    /// Keeps a reservation, or releases it.
    fn settle(&self, store: &Self::Store, settled: &Settled, now: UnixSeconds);
    /// Reserves a callback in the shared store, whose answer comes later; `false`: it can't be asked now.
    fn reserve_shared(&self, store: &Self::SharedStore, reservation: &Reservation) -> bool;
    /// Keeps a reservation in the shared store, or releases it, after all that it was asked of it.
    fn settle_shared(&self, store: &Self::SharedStore, settled: &Settled, now: UnixSeconds);
}

/// What Envoy does next with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It is held.
    Hold,
}
