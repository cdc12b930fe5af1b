//! The token: a compact JWS (RFC 7515 section 7.1) in the token header, read strictly.
//!
//! Strict where JOSE libraries are lax: canonical base64url without padding, one JSON object in each part, no duplicate
//! member (RFC 7515 section 4), nothing after it, and `HS256` alone.

mod base64url;
mod claims;
mod json;
mod mac;
mod signature;

use alloc::vec::Vec;

use base64url::{decode, is_canonical};
pub(crate) use claims::Claims;
pub(crate) use signature::{install_provider, key_of, signed_by, spare_key};

use crate::code::Rejection;
use json::{Scalar, members};

/// Vonage's tokens have about 420 bytes. Proxies take headers of this size and more, so that the bound is ours to set.
const LONGEST_TOKEN: usize = 8 * 1024;

/// `{"alg":"HS256","typ":"JWT"}` and `{"typ":"JWT","alg":"HS256"}`, as JOSE libraries write them: nearly every token has
/// one of these headers, and there is nothing to find out about them.
const USUAL_HEADERS: [&[u8]; 2] = [b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", b"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"];

/// The scheme of the `Authorization` header (RFC 6750 section 2.1).
const SCHEME: &[u8] = b"bearer";

/// Takes the token out of its header's value.
///
/// `scheme_required`: in `authorization` the token stands behind `Bearer `; elsewhere that is optional.
pub(crate) fn from_header(value: &[u8], scheme_required: bool) -> Result<&[u8], Rejection> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Err(Rejection::TokenMissing);
    }
    let token = match after_scheme(value) {
        Some(token) => token,
        None if scheme_required => return Err(Rejection::TokenMalformed),
        None => value,
    };
    if token.len() > LONGEST_TOKEN { Err(Rejection::TokenMalformed) } else { Ok(token) }
}

/// What follows `Bearer` and at least one space; the scheme's case does not matter (RFC 9110 section 11.1).
fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let spaced = rest.first() == Some(&b' ');
    (scheme.eq_ignore_ascii_case(SCHEME) && spaced).then(|| rest.trim_ascii_start())
}

/// A well-formed token, its signature not yet checked.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    /// What was signed: header and payload with the point between them.
    pub(crate) signing_input: &'t [u8],
    /// The signature, in base64url.
    pub(crate) signature: &'t str,
    /// The payload's JSON text.
    payload: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Checks the three parts and the header.
    pub(crate) fn parse(token: &'t [u8]) -> Result<Self, Rejection> {
        let is_point = |byte: &u8| *byte == b'.';
        let (signature, signing_input) = both(token.rsplitn(2, is_point))?;
        let (header, payload) = both(signing_input.splitn(2, is_point))?;
        // A fourth part would leave its point in the payload, which the alphabet refuses.
        let unusual_header = if USUAL_HEADERS.contains(&header) { None } else { Some(decode(header)?) };
        let payload = decode(payload)?;
        if !is_canonical(signature) {
            return Err(Rejection::TokenMalformed);
        }
        let signature = core::str::from_utf8(signature).map_err(|_| Rejection::TokenMalformed)?;
        if let Some(header) = unusual_header {
            check_header(&header)?;
        }
        Ok(Self { signing_input, signature, payload })
    }

    /// The claims, not to be trusted before the signature is checked.
    pub(crate) fn claims(&self) -> Result<Claims<'_>, Rejection> {
        let json = core::str::from_utf8(&self.payload).map_err(|_| Rejection::TokenMalformed)?;
        Claims::parse(json)
    }
}

fn both<'t>(mut parts: impl Iterator<Item = &'t [u8]>) -> Result<(&'t [u8], &'t [u8]), Rejection> {
    parts.next().zip(parts.next()).ok_or(Rejection::TokenMalformed)
}

fn check_header(header: &[u8]) -> Result<(), Rejection> {
    let json = core::str::from_utf8(header).map_err(|_| Rejection::TokenMalformed)?;
    let [algorithm, critical] = members(json, &["alg", "crit"]).ok_or(Rejection::TokenMalformed)?;
    match (algorithm, critical) {
        (Some(Scalar::Text(algorithm)), None) if algorithm == "HS256" => Ok(()),
        _ => Err(Rejection::AlgorithmNotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_asked_for_in_authorization_alone() {
        for (value, required, expected) in [
            ("Bearer a.b.c", true, Ok("a.b.c")),
            ("bEARER   a.b.c ", true, Ok("a.b.c")),
            ("a.b.c", true, Err(Rejection::TokenMalformed)),
            ("a.b.c", false, Ok("a.b.c")),
            ("Bearer a.b.c", false, Ok("a.b.c")),
            ("Bearera.b.c", true, Err(Rejection::TokenMalformed)),
            ("Bearer", true, Err(Rejection::TokenMalformed)),
            (" \t", true, Err(Rejection::TokenMissing)),
            ("", false, Err(Rejection::TokenMissing)),
        ] {
            assert_eq!(from_header(value.as_bytes(), required), expected.map(str::as_bytes), "{value:?} {required}");
        }
    }

    #[test]
    fn the_usual_headers_are_what_the_check_of_any_header_takes() {
        for (header, json) in
            USUAL_HEADERS.into_iter().zip([r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"typ":"JWT","alg":"HS256"}"#])
        {
            let decoded = decode(header).unwrap();
            assert_eq!(decoded, json.as_bytes());
            assert_eq!(check_header(&decoded), Ok(()));
        }
    }

    #[test]
    fn parts_are_canonical_base64url() {
        for token in ["", ".", "..", "e30.e30", "e30.e30.e30.e30", "e30=.e30.", "e31.e30.", "e30 .e30.", "+/8.e30."] {
            assert_eq!(Token::parse(token.as_bytes()).err(), Some(Rejection::TokenMalformed), "{token}");
        }
        assert_eq!(Token::parse(b"e30.e30.\xff").err(), Some(Rejection::TokenMalformed));
        assert_eq!(Token::parse(b"e30.\xff.").err(), Some(Rejection::TokenMalformed));
        assert_eq!(Token::parse(b"e30.e30.").err(), Some(Rejection::AlgorithmNotAllowed));
    }
}
