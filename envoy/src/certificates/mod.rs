//! The client certificates that were seen last. To ask Envoy for what is in one takes longer than all other checks, and
//! a sender shows the same one on every connection.

mod dns_names;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use secure_callbacks::{Approved, NotGiven};

use crate::host::{Attribute, Host};

/// Certificates to remember: a site has a few senders, and each has one, or two while it is renewed.
const REMEMBERED: usize = 16;

/// Certificates by their fingerprints, under one policy.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Mutex<VecDeque<Arc<Certificate>>>);

impl Certificates {
    /// The certificate that was shown on the present request's connection. Envoy has validated it, unless its context
    /// takes any (`ACCEPT_UNTRUSTED`), which can't be told from here.
    pub(crate) fn shown(&self, host: &impl Host) -> Option<Arc<Certificate>> {
        let digest = host.attribute(Attribute::PeerDigest).filter(|digest| !digest.is_empty())?;
        // Nothing here leaves the list half changed.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.iter().find(|known| known.digest == digest) {
            return Some(Arc::clone(known));
        }
        let new = Arc::new(Certificate { digest, ..Certificate::default() });
        seen.truncate(REMEMBERED.saturating_sub(1));
        seen.push_front(Arc::clone(&new));
        Some(new)
    }
}

/// One certificate: what of it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Certificate {
    /// Its fingerprint as Envoy shows it: 64 hex digits.
    pub(crate) digest: Vec<u8>,
    subject: OnceLock<Vec<u8>>,
    dns_names: OnceLock<Vec<Vec<u8>>>,
    pub(crate) approved: OnceLock<Approved>,
}

impl Certificate {
    /// The subject (RFC 2253).
    pub(crate) fn subject(&self, host: &impl Host) -> Option<&[u8]> {
        match self.subject.get() {
            Some(known) => Some(known),
            // What can't be read is not remembered.
            None => subject(host).map(|subject| self.subject.get_or_init(|| subject).as_slice()),
        }
    }

    /// Every DNS name. From the certificate itself: the property for DNS names gives only the first.
    pub(crate) fn dns_names(&self, host: &impl Host) -> Result<&[Vec<u8>], NotGiven> {
        if let Some(known) = self.dns_names.get() {
            return Ok(known);
        }
        let certificate = host.attribute(Attribute::PeerCertificate).ok_or(NotGiven)?;
        Ok(dns_names::dns_names(&certificate).map_or(&[], |names| self.dns_names.get_or_init(|| names)))
    }
}

/// The subject of the certificate that was shown on the connection.
pub(crate) fn subject(host: &impl Host) -> Option<Vec<u8>> {
    host.attribute(Attribute::PeerSubject).filter(|subject| !subject.is_empty())
}
