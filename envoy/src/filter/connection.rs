//! What the core asks of a connection, from Envoy's attributes. Each may be a call out of a sandbox, so each is made
//! only if it is needed.

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use secure_callbacks::{Approved, CertificateState, Connection, Fingerprint, NotGiven};

use crate::certificates::{self, Certificate, Certificates};
use crate::host::{Attribute, Host};

/// The downstream connection of a request.
#[derive(Debug)]
pub(super) struct Downstream<'h, H> {
    host: &'h H,
    certificates: &'h Certificates,
    /// Empty until it is asked for.
    shown: OnceCell<Option<Arc<Certificate>>>,
}

impl<'h, H: Host> Downstream<'h, H> {
    pub(super) fn new(host: &'h H, certificates: &'h Certificates) -> Self {
        Self { host, certificates, shown: OnceCell::new() }
    }

    /// The certificate, if the policy asked for one.
    pub(super) fn into_certificate(self) -> Option<Arc<Certificate>> {
        self.shown.into_inner().flatten()
    }

    fn shown(&self) -> Option<&Certificate> {
        self.shown.get_or_init(|| self.certificates.shown(self.host)).as_deref()
    }
}

/// The address of the caller, as the proxy trusts it, with its port; empty if unknown.
pub(super) fn address(host: &impl Host) -> String {
    host.attribute(Attribute::SourceAddress).and_then(|address| String::from_utf8(address).ok()).unwrap_or_default()
}

/// The subject of a certificate that Envoy validated, for the application; empty without one.
pub(super) fn validated_subject(host: &impl Host, known: Option<&Certificate>) -> String {
    let subject = match known {
        Some(certificate) => certificate.subject(host).map(<[u8]>::to_vec),
        // Only TLS that took a certificate has this attribute, so one call tells both.
        None => certificates::subject(host),
    };
    subject.and_then(|subject| String::from_utf8(subject).ok()).unwrap_or_default()
}

impl<H: Host> Connection for Downstream<'_, H> {
    fn source(&self) -> Option<IpAddr> {
        Some(address(self.host).parse::<SocketAddr>().ok()?.ip())
    }

    fn certificate(&self) -> CertificateState {
        self.shown().map_or(CertificateState::Missing, |_| CertificateState::Verified)
    }

    fn subject(&self) -> Option<Vec<u8>> {
        self.shown()?.subject(self.host).map(<[u8]>::to_vec)
    }

    fn dns_names(&self) -> Result<Vec<Vec<u8>>, NotGiven> {
        self.shown().ok_or(NotGiven)?.dns_names(self.host).map(<[Vec<u8>]>::to_vec)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(&self.shown()?.digest, &mut fingerprint).ok()?;
        Some(fingerprint)
    }

    fn remembered(&self) -> Option<Approved> {
        self.shown()?.approved.get().copied()
    }

    fn remember(&self, approved: Approved) {
        if let Some(certificate) = self.shown() {
            // Whoever was first has said the same.
            let _ = certificate.approved.set(approved);
        }
    }
}
