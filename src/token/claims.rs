//! The claims that a policy may ask about (RFC 7519 section 4, and Vonage's own).

use alloc::borrow::Cow;

use super::json::{Scalar, members};
use crate::code::Rejection;

/// The members of the payload, present or not, of whatever type: each getter says what it needs.
#[derive(Debug)]
pub(crate) struct Claims<'t> {
    iat: Option<Scalar<'t>>,
    exp: Option<Scalar<'t>>,
    nbf: Option<Scalar<'t>>,
    iss: Option<Scalar<'t>>,
    api_key: Option<Scalar<'t>>,
    application_id: Option<Scalar<'t>>,
    jti: Option<Scalar<'t>>,
    payload_hash: Option<Scalar<'t>>,
}

/// Which of the values each is.
fn index(name: &str) -> Option<usize> {
    Some(match name {
        "iat" => 0,
        "exp" => 1,
        "nbf" => 2,
        "iss" => 3,
        "api_key" => 4,
        "application_id" => 5,
        "jti" => 6,
        "payload_hash" => 7,
        _ => return None,
    })
}

impl<'t> Claims<'t> {
    pub(crate) fn parse(json: &'t str) -> Result<Self, Rejection> {
        let [iat, exp, nbf, iss, api_key, application_id, jti, payload_hash] =
            members(json, index).ok_or(Rejection::TokenMalformed)?;
        Ok(Self { iat, exp, nbf, iss, api_key, application_id, jti, payload_hash })
    }

    /// When the token was issued, in Unix seconds.
    pub(crate) fn iat(&self) -> Result<i64, Rejection> {
        date(self.iat.as_ref())?.ok_or(Rejection::ClaimMissing)
    }

    /// When it ends, if it says so.
    pub(crate) fn exp(&self) -> Result<Option<i64>, Rejection> {
        date(self.exp.as_ref())
    }

    /// When it begins, if it says so.
    pub(crate) fn nbf(&self) -> Result<Option<i64>, Rejection> {
        date(self.nbf.as_ref())
    }

    pub(crate) fn iss(&self) -> Result<&str, Rejection> {
        required(self.iss.as_ref())
    }

    pub(crate) fn api_key(&self) -> Result<&str, Rejection> {
        required(self.api_key.as_ref())
    }

    pub(crate) fn application_id(&self) -> Result<&str, Rejection> {
        required(self.application_id.as_ref())
    }

    pub(crate) fn jti(&self) -> Result<&str, Rejection> {
        required(self.jti.as_ref())
    }

    pub(crate) fn payload_hash(&self) -> Result<Option<&str>, Rejection> {
        text(self.payload_hash.as_ref())
    }
}

fn text<'c>(claim: Option<&'c Scalar<'_>>) -> Result<Option<&'c str>, Rejection> {
    match claim {
        None => Ok(None),
        Some(Scalar::Text(Cow::Borrowed(text))) => Ok(Some(text)),
        Some(Scalar::Text(Cow::Owned(text))) => Ok(Some(text)),
        Some(_) => Err(Rejection::ClaimMalformed),
    }
}

fn required<'c>(claim: Option<&'c Scalar<'_>>) -> Result<&'c str, Rejection> {
    text(claim)?.ok_or(Rejection::ClaimMissing)
}

/// A `NumericDate` (RFC 7519 section 2): seconds, perhaps with a fraction, which is dropped.
fn date(claim: Option<&Scalar<'_>>) -> Result<Option<i64>, Rejection> {
    /// Dates are compared in i64 with durations added: this leaves room, and ends beyond the year 280,000,000.
    const FURTHEST: i64 = 1 << 53;
    let seconds = match claim {
        None => return Ok(None),
        Some(Scalar::Integer(seconds)) => *seconds,
        // The cast saturates, and the range below refuses what did.
        #[expect(clippy::cast_possible_truncation)]
        Some(Scalar::Fraction(seconds)) if seconds.is_finite() => *seconds as i64,
        Some(_) => return Err(Rejection::ClaimMalformed),
    };
    if (0..FURTHEST).contains(&seconds) { Ok(Some(seconds)) } else { Err(Rejection::ClaimMalformed) }
}
