//! What the filter asks of Envoy, and what it tells it to do.

use std::time::Duration;

use crate::metrics::MetricId;
use crate::native_hash::ForeignFunctions;
use crate::shared_data::SharedData;

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

/// A whole answer to the caller.
#[derive(Debug)]
pub struct Answer<'a> {
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
pub trait Host: SharedData + ForeignFunctions {
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
    /// Bytes of the body that was received so far, no more than `length`; `None` if they can't be read.
    fn body(&self, start: usize, length: usize) -> Option<Vec<u8>>;
    /// Answers the caller.
    ///
    /// # Errors
    /// If that can't be done.
    fn reply(&self, answer: &Answer<'_>) -> Result<(), HostFailed>;
    /// The status of the response that goes back.
    fn response_status(&self) -> Option<u16>;
    /// A property of the request or its connection, the parts of its path separated by zero bytes; `None` if there is
    /// none.
    fn property(&self, path: &str) -> Option<Vec<u8>>;
    /// Sets filter state, for the access log.
    fn set_state(&self, key: &str, value: &str);
    /// Counts one more.
    fn increment(&self, metric: MetricId);
}

/// What Envoy does next with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It is held.
    Hold,
}
