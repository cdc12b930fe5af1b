//! The client certificate: what a policy asks of one that the proxy validated.
//!
//! Merely trusting a public authority accepts every certificate that it ever issued, so a policy names the sender's
//! subject, DNS name or fingerprint. Each kind that is given must be met, by one of its entries.

mod dns_name;
mod subject;

use alloc::vec::Vec;

pub(crate) use dns_name::DnsPattern;
pub(crate) use subject::WantedSubject;

use crate::code::Rejection;
use crate::problem::Problem;

/// A SHA-256 digest of a certificate's DER form.
pub type Fingerprint = [u8; 32];

/// What the proxy says of the client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// The client showed none, or the connection is not TLS.
    Missing,
    /// The client showed one that the proxy did not validate.
    Unverified,
    /// The proxy validated it up to an authority that it trusts.
    Verified,
}

/// The proxy does not give what the policy asks for, whatever the certificate says: it is not set up to, or it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotGiven;

/// The connection that a callback came on. The core asks only for what the policy needs, because each answer may cost
/// the host a call.
pub trait Connection {
    /// The client's address, as the proxy trusts it; `None` if it has none.
    fn source(&self) -> Option<core::net::IpAddr>;

    /// Whether there is a certificate to ask about. The three below are asked only of a verified one.
    fn certificate(&self) -> CertificateState;

    /// Its subject, as RFC 2253 writes it; `None` if it can't be read.
    fn subject(&self) -> Option<Vec<u8>>;

    /// The DNS names of its subject alternative name extension, all of them; none if it can't be read.
    ///
    /// # Errors
    /// If it is not there to be read: then nobody is refused for what it says.
    fn dns_names(&self) -> Result<Vec<Vec<u8>>, NotGiven>;

    /// Its fingerprint; `None` if it can't be read.
    fn fingerprint(&self) -> Option<Fingerprint>;

    /// What [`Connection::remember`] was given for this very certificate, by the policy that asks now.
    fn remembered(&self) -> Option<Approved> {
        None
    }

    /// The certificate met the policy. A host that knows a certificate again, by its fingerprint, may spare the next
    /// callback the comparing.
    fn remember(&self, _: Approved) {}
}

/// A connection of which nothing is known: a policy that asks for anything refuses it.
impl Connection for () {
    fn source(&self) -> Option<core::net::IpAddr> {
        None
    }

    fn certificate(&self) -> CertificateState {
        CertificateState::Missing
    }

    fn subject(&self) -> Option<Vec<u8>> {
        None
    }

    fn dns_names(&self) -> Result<Vec<Vec<u8>>, NotGiven> {
        Err(NotGiven)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        None
    }
}

/// That a certificate met a policy. Only the core can make one.
#[derive(Debug, Clone, Copy)]
pub struct Approved(());

/// What a policy asks of the certificate. A kind that is empty is not asked for.
#[derive(Debug, Clone)]
pub(crate) struct CertificateRule {
    pub(crate) subjects: Vec<WantedSubject>,
    pub(crate) dns_names: Vec<DnsPattern>,
    pub(crate) fingerprints: Vec<Fingerprint>,
}

impl CertificateRule {
    /// Why it is refused, if it is.
    pub(crate) fn check(&self, connection: &dyn Connection) -> Result<Option<Rejection>, NotGiven> {
        Ok(match connection.certificate() {
            CertificateState::Missing => Some(Rejection::ClientCertificateMissing),
            CertificateState::Unverified => Some(Rejection::ClientCertificateUnverified),
            CertificateState::Verified if connection.remembered().is_some() => None,
            CertificateState::Verified if self.is_met_by(connection)? => {
                connection.remember(Approved(()));
                None
            }
            // Not remembered: what could not be read this time may be readable the next.
            CertificateState::Verified => Some(Rejection::ClientCertificateMismatch),
        })
    }

    fn is_met_by(&self, connection: &dyn Connection) -> Result<bool, NotGiven> {
        let subject_met = || connection.subject().is_some_and(|shown| WantedSubject::any_is(&self.subjects, &shown));
        let fingerprint_met = || connection.fingerprint().is_some_and(|shown| self.fingerprints.contains(&shown));
        if !(self.fingerprints.is_empty() || fingerprint_met()) || !(self.subjects.is_empty() || subject_met()) {
            return Ok(false);
        }
        if self.dns_names.is_empty() {
            return Ok(true);
        }
        let shown = connection.dns_names()?;
        Ok(shown.iter().any(|name| self.dns_names.iter().any(|pattern| pattern.matches(name))))
    }
}

/// Reads a fingerprint: 64 hex digits of either case, with or without colons between the pairs.
pub(crate) fn parse_fingerprint(text: &str) -> Result<Fingerprint, Problem> {
    const EXPECTED: Problem = Problem::Expected("a SHA-256 fingerprint: 64 hex digits, or pairs with colons between");
    let mut fingerprint = [0; 32];
    let read = if text.contains(':') {
        if text.split(':').any(|pair| pair.len() != 2) {
            return Err(EXPECTED);
        }
        hex::decode_to_slice(text.replace(':', ""), &mut fingerprint)
    } else {
        hex::decode_to_slice(text, &mut fingerprint)
    };
    read.map_err(|_| EXPECTED)?;
    Ok(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_with_and_without_colons() {
        let plain = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let colons = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
        assert_eq!(parse_fingerprint(plain), parse_fingerprint(colons));
        assert!(parse_fingerprint(plain).is_ok());
        let cut = colons.get(3..).unwrap();
        for text in ["", ":", &plain[1..], &plain[2..], cut, &plain.replace('f', "g"), &colons.replacen(':', "", 1)] {
            assert!(parse_fingerprint(text).is_err(), "{text}");
        }
    }
}
