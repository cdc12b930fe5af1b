//! The DNS names of a client certificate, from its PEM. Envoy's own property gives only the first.
//!
//! The certificate is read and no more: Envoy has validated it, and what this program might not know of it (critical
//! extensions, the form of its serial number) is no reason to refuse what Envoy took. Only the way to one extension is
//! walked, for a whole certificate's decoder would weigh a quarter of the module.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

/// `subjectAltName`, 2.5.29.17 (RFC 5280 section 4.2.1.6).
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// `extensions` of a `TBSCertificate` (RFC 5280 section 4.1).
const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };

/// `dNSName` of a `GeneralName` (RFC 5280 section 4.2.1.6).
const DNS_NAME: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(2) };

/// Every DNS name of a certificate. `None` if it is none, or holds the extension twice.
pub(super) fn dns_names(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let certificate = decode(pem)?;
    let outer = parts(AnyRef::from_der(&certificate).ok()?.value())?;
    let to_be_signed = outer.first()?;
    let Some(extensions) = parts(to_be_signed.value())?.into_iter().find(|part| part.tag() == EXTENSIONS) else {
        return Some(Vec::new());
    };
    let mut found = None;
    for extension in parts(AnyRef::from_der(extensions.value()).ok()?.value())? {
        let fields = parts(extension.value())?;
        let (Some(id), Some(content)) = (fields.first(), fields.last()) else { return None };
        if id.tag() == Tag::ObjectIdentifier && id.value() == SUBJECT_ALT_NAME {
            let names = parts(AnyRef::from_der(content.value()).ok()?.value())?;
            let names = names.iter().filter(|name| name.tag() == DNS_NAME).map(|name| name.value().to_vec());
            if found.replace(names.collect()).is_some() {
                return None;
            }
        }
    }
    Some(found.unwrap_or_default())
}

/// The bytes of a certificate in PEM (RFC 7468 section 5), as Envoy writes it.
fn decode(pem: &[u8]) -> Option<Vec<u8>> {
    const FIRST: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const LAST: &[u8] = b"-----END CERTIFICATE-----";
    let text = pem.trim_ascii().strip_prefix(FIRST)?.strip_suffix(LAST)?;
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// The elements that follow one another in `bytes`.
fn parts(bytes: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(parts)
}
