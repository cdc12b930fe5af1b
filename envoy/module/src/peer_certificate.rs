//! The client's certificate. Envoy does not show it to a module, but a filter before this one can put it into filter
//! state (`%DOWNSTREAM_PEER_CERT%`), in PEM with `%` and two digits for what may not stand in a URL.
#![forbid(unsafe_code)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The filter state's key.
pub const KEY: &str = "secure_callbacks.peer_certificate";

/// The certificate in PEM; `None` if the state is not that of the certificate with this digest (64 hex digits, which
/// Envoy itself gives): a mistake in a configuration must not make a certificate of something else.
#[must_use]
pub fn read(state: &[u8], digest: &[u8]) -> Option<Vec<u8>> {
    let pem = decoded(state)?;
    let text = str::from_utf8(&pem).ok()?;
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let certificate = STANDARD.decode(base64).ok()?;
    (hex::encode(Sha256::digest(certificate)).as_bytes() == digest).then_some(pem)
}

/// RFC 3986 section 2.1.
fn decoded(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        if *first == b'%' {
            let (digits, rest) = text.split_at_checked(2)?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok()?;
            bytes.extend(byte);
            text = rest;
        } else {
            bytes.push(*first);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\naGVs+G8/\nd29ybGQ=\n-----END CERTIFICATE-----\n";

    fn digest() -> String {
        hex::encode(Sha256::digest(STANDARD.decode("aGVs+G8/d29ybGQ=").unwrap()))
    }

    fn encoded() -> String {
        PEM.replace(' ', "%20").replace('\n', "%0A").replace('+', "%2B").replace('/', "%2F").replace('=', "%3d")
    }

    #[test]
    fn the_certificate_of_the_digest_is_read() {
        assert_eq!(read(encoded().as_bytes(), digest().as_bytes()).as_deref(), Some(PEM.as_bytes()));
    }

    #[test]
    fn anything_else_is_none() {
        let (whole, digest) = (encoded(), digest());
        for other in ["", "-", "%", "%2", "%zz", &whole.replace("aGVs", "aGVt"), &whole[..45], &whole.replace('%', "")]
        {
            assert_eq!(read(other.as_bytes(), digest.as_bytes()), None, "{other}");
        }
        for other in ["", "00", &digest.replace('a', "b"), &digest.to_uppercase()] {
            assert_eq!(read(whole.as_bytes(), other.as_bytes()), None, "{other}");
        }
    }
}
