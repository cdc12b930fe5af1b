//! The client certificates that were seen last. To ask Envoy for what is in one takes longer than all other checks, and
//! a sender shows the same one on every connection.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use secure_callbacks::Approved;

use super::Host;
use super::names;

/// Certificates to remember: a site has a few senders, and each has one, or two while it is renewed.
const REMEMBERED: usize = 16;

/// Certificates by their fingerprints, under one policy.
#[derive(Debug, Default)]
pub(crate) struct Certificates(RefCell<VecDeque<Rc<Certificate>>>);

impl Certificates {
    /// The certificate that was shown on the present request's connection. Envoy has validated it, unless its context
    /// takes any (`ACCEPT_UNTRUSTED`), which can't be told from here.
    pub(super) fn shown(&self, host: &impl Host) -> Option<Rc<Certificate>> {
        // Envoy gives a fingerprint where a certificate was shown, and only there.
        let digest = host.property("connection\0sha256_peer_certificate_digest").filter(|digest| !digest.is_empty())?;
        if let Some(known) = self.0.borrow().iter().find(|known| known.digest == digest) {
            return Some(Rc::clone(known));
        }
        let new = Rc::new(Certificate { digest, ..Certificate::default() });
        let mut seen = self.0.borrow_mut();
        seen.truncate(REMEMBERED.saturating_sub(1));
        seen.push_front(Rc::clone(&new));
        Some(new)
    }
}

/// One certificate: what of it was asked for.
#[derive(Debug, Default)]
pub(super) struct Certificate {
    /// Its fingerprint as Envoy shows it: 64 hex digits.
    pub(super) digest: Vec<u8>,
    subject: OnceCell<Vec<u8>>,
    dns_names: OnceCell<Vec<Vec<u8>>>,
    pub(super) approved: Cell<Option<Approved>>,
}

impl Certificate {
    /// The subject (RFC 2253).
    pub(super) fn subject(&self, host: &impl Host) -> Option<&[u8]> {
        read_once(&self.subject, || subject(host)).map(Vec::as_slice)
    }

    /// Every DNS name. From the certificate itself: the property for DNS names gives only the first.
    pub(super) fn dns_names(&self, host: &impl Host) -> Option<&[Vec<u8>]> {
        let read = || names::dns_names(&host.property("connection\0peer_certificate")?);
        read_once(&self.dns_names, read).map(Vec::as_slice)
    }
}

/// What can't be read is not remembered.
fn read_once<T>(place: &OnceCell<T>, read: impl FnOnce() -> Option<T>) -> Option<&T> {
    match place.get() {
        Some(known) => Some(known),
        None => read().map(|value| place.get_or_init(|| value)),
    }
}

/// The subject of the certificate that was shown on the connection.
pub(super) fn subject(host: &impl Host) -> Option<Vec<u8>> {
    host.property("connection\0subject_peer_certificate").filter(|subject| !subject.is_empty())
}
