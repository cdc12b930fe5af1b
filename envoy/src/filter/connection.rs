//! What the core asks of a connection, from Envoy's properties. Each is a call out of the sandbox, so each is made only
//! if it is needed.

use std::net::{IpAddr, SocketAddr};

use secure_callbacks::{CertificateState, Connection, Fingerprint};

use super::Host;
use super::names::KnownNames;

/// The downstream connection of a request.
#[derive(Debug)]
pub(super) struct Downstream<'h, H> {
    host: &'h H,
    names: &'h KnownNames,
}

impl<'h, H: Host> Downstream<'h, H> {
    pub(super) fn new(host: &'h H, names: &'h KnownNames) -> Self {
        Self { host, names }
    }

    fn digest(&self) -> Option<Vec<u8>> {
        self.host.property("connection\0sha256_peer_certificate_digest")
    }
}

/// The address of the caller, as the proxy trusts it, with its port; empty if unknown.
pub(super) fn address(host: &impl Host) -> String {
    host.property("source\0address").and_then(|address| String::from_utf8(address).ok()).unwrap_or_default()
}

/// The subject of a certificate that Envoy validated, for the application; empty without one. Only TLS that took a
/// certificate has this property, so one call tells both.
pub(super) fn validated_subject(host: &impl Host) -> String {
    subject(host).and_then(|subject| String::from_utf8(subject).ok()).unwrap_or_default()
}

fn subject(host: &impl Host) -> Option<Vec<u8>> {
    host.property("connection\0subject_peer_certificate").filter(|subject| !subject.is_empty())
}

impl<H: Host> Connection for Downstream<'_, H> {
    /// `source.address` is `ip:port`, an IPv6 address in brackets.
    fn source(&self) -> Option<IpAddr> {
        Some(address(self.host).parse::<SocketAddr>().ok()?.ip())
    }

    /// With `mtls` the client showed a certificate that Envoy's validation context took. A context that takes any
    /// (`ACCEPT_UNTRUSTED`) can't be told from here.
    fn certificate(&self) -> CertificateState {
        match self.host.property("connection\0mtls").as_deref() {
            Some([1]) => CertificateState::Verified,
            _ => CertificateState::Missing,
        }
    }

    fn subject(&self) -> Option<Vec<u8>> {
        subject(self.host)
    }

    /// From the certificate itself: the property for DNS names gives only the first.
    fn dns_names(&self) -> Option<Vec<Vec<u8>>> {
        let names = self.names.of(&self.digest()?, || self.host.property("connection\0peer_certificate"))?;
        Some(names.to_vec())
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        let digits = self.digest()?;
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(digits, &mut fingerprint).ok()?;
        Some(fingerprint)
    }
}
