//! A subject that rcgen can't write: its parts joined to one multi-valued part, and the certificate signed anew.
use rcgen::SigningKey;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BIT_STRING: u8 = 0x03;

/// Where the subject stands in a `TBSCertificate` that has a version (RFC 5280 section 4.1).
const SUBJECT: usize = 5;

/// The certificate `der` with its subject's parts joined, signed with `key`.
pub(super) fn with_one_part(der: &[u8], key: &impl SigningKey) -> Vec<u8> {
    // tbsCertificate, signatureAlgorithm, signatureValue
    let mut certificate = elements(content(der));
    let mut signed = elements(content(certificate[0]));
    let parts = elements(content(signed[SUBJECT]));
    let mut attributes: Vec<_> = parts.into_iter().map(content).collect();
    // DER has the members of a set sorted.
    attributes.sort_unstable();
    let subject = element(SEQUENCE, &element(SET, &attributes.concat()));
    signed[SUBJECT] = &subject;
    let signed = element(SEQUENCE, &signed.concat());
    let mut signature = vec![0];
    signature.extend(key.sign(&signed).expect("a signature"));
    let signature = element(BIT_STRING, &signature);
    certificate[0] = &signed;
    certificate[2] = &signature;
    element(SEQUENCE, &certificate.concat())
}

/// The lengths of an element's header and of its content. None here is longer than 65535.
fn lengths(der: &[u8]) -> (usize, usize) {
    match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    }
}

fn content(der: &[u8]) -> &[u8] {
    let (header, length) = lengths(der);
    &der[header..header + length]
}

fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    while !der.is_empty() {
        let (header, length) = lengths(der);
        let (first, rest) = der.split_at(header + length);
        elements.push(first);
        der = rest;
    }
    elements
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let mut der = match (high, low) {
        (0, 0..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    der.extend_from_slice(content);
    der
}
