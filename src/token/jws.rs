//! A compact JWS, taken apart (RFC 7515 section 7.1).

use alloc::vec::Vec;

use super::base64url::{decode, is_canonical};
use super::claims::Claims;
use super::json::{Scalar, members};
use crate::code::Rejection;

/// `{"alg":"HS256","typ":"JWT"}` and `{"typ":"JWT","alg":"HS256"}`, as JOSE libraries write them: nearly every token has
/// one of these headers, and there is nothing to find out about them.
const USUAL_HEADERS: [&[u8]; 2] = [b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", b"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"];

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
    let index = |name: &str| ["alg", "crit"].iter().position(|wanted| *wanted == name);
    let json = core::str::from_utf8(header).map_err(|_| Rejection::TokenMalformed)?;
    let [algorithm, critical] = members(json, index).ok_or(Rejection::TokenMalformed)?;
    match (algorithm, critical) {
        (Some(Scalar::Text(algorithm)), None) if algorithm == "HS256" => Ok(()),
        _ => Err(Rejection::AlgorithmNotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
