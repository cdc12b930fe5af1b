//! The token: a compact JWS (RFC 7515 section 7.1) in the token header, read strictly.
//!
//! Strict where JOSE libraries are lax: canonical base64url without padding, one JSON object in each part, no duplicate
//! member (RFC 7515 section 4), nothing after it, and only `HS256`.

mod base64url;
mod claims;
mod field;
mod json;
mod jws;
mod mac;
mod signature;

pub(crate) use claims::Claims;
pub use field::TokenField;
pub(crate) use field::from_header;
pub(crate) use jws::Token;
pub(crate) use signature::{install_provider, key_of, signed_by, spare_key};
