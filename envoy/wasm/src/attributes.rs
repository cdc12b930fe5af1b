//! Where Envoy has what it knows of a request.

use secure_callbacks_envoy::host::Attribute;

/// The path of an attribute, its parts separated by zero bytes.
#[must_use]
pub const fn path(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::SourceAddress => "source\0address",
        Attribute::Path => "request\0url_path",
        Attribute::PeerDigest => "connection\0sha256_peer_certificate_digest",
        Attribute::PeerSubject => "connection\0subject_peer_certificate",
        Attribute::PeerCertificate => "connection\0peer_certificate",
        Attribute::CodeDetails => "response\0code_details",
    }
}
