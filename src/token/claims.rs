//! The claims that a policy may ask about (RFC 7519 section 4, and Vonage's own).

use alloc::borrow::Cow;

use super::json::{Scalar, members};
use crate::claim::{Claim, Reason};
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

impl<'t> Claims<'t> {
    pub(crate) fn parse(json: &'t str) -> Result<Self, Rejection> {
        let [iat, exp, nbf, iss, api_key, application_id, jti, payload_hash] =
            members(json, &Claim::NAMES).ok_or(Rejection::TokenMalformed)?;
        Ok(Self { iat, exp, nbf, iss, api_key, application_id, jti, payload_hash })
    }

    /// When the token was issued, in Unix seconds.
    pub(crate) fn iat(&self) -> Result<i64, Reason> {
        date(self.iat.as_ref(), Claim::Iat)?.ok_or(Claim::Iat.missing())
    }

    /// When it ends, if it says so.
    pub(crate) fn exp(&self) -> Result<Option<i64>, Reason> {
        date(self.exp.as_ref(), Claim::Exp)
    }

    /// When it begins, if it says so.
    pub(crate) fn nbf(&self) -> Result<Option<i64>, Reason> {
        date(self.nbf.as_ref(), Claim::Nbf)
    }

    pub(crate) fn iss(&self) -> Result<&str, Reason> {
        required(self.iss.as_ref(), Claim::Iss)
    }

    pub(crate) fn api_key(&self) -> Result<&str, Reason> {
        required(self.api_key.as_ref(), Claim::ApiKey)
    }

    pub(crate) fn application_id(&self) -> Result<&str, Reason> {
        required(self.application_id.as_ref(), Claim::ApplicationId)
    }

    pub(crate) fn jti(&self) -> Result<&str, Reason> {
        required(self.jti.as_ref(), Claim::Jti)
    }

    pub(crate) fn payload_hash(&self) -> Result<Option<&str>, Reason> {
        text(self.payload_hash.as_ref(), Claim::PayloadHash)
    }
}

fn text<'c>(value: Option<&'c Scalar<'_>>, claim: Claim) -> Result<Option<&'c str>, Reason> {
    match value {
        None => Ok(None),
        Some(Scalar::Text(Cow::Borrowed(text))) => Ok(Some(text)),
        Some(Scalar::Text(Cow::Owned(text))) => Ok(Some(text)),
        Some(_) => Err(claim.malformed()),
    }
}

fn required<'c>(value: Option<&'c Scalar<'_>>, claim: Claim) -> Result<&'c str, Reason> {
    text(value, claim)?.ok_or(claim.missing())
}

/// A `NumericDate` (RFC 7519 section 2): seconds, perhaps with a fraction, which is dropped.
fn date(value: Option<&Scalar<'_>>, claim: Claim) -> Result<Option<i64>, Reason> {
    /// Dates are compared in i64 with durations added: this leaves room, and ends beyond the year 280,000,000.
    const FURTHEST: i64 = 1 << 53;
    let seconds = match value {
        None => return Ok(None),
        Some(Scalar::Integer(seconds)) => *seconds,
        // The cast saturates, and the range below refuses what did.
        #[expect(clippy::cast_possible_truncation)]
        Some(Scalar::Fraction(seconds)) if seconds.is_finite() => *seconds as i64,
        Some(_) => return Err(claim.malformed()),
    };
    if (0..FURTHEST).contains(&seconds) { Ok(Some(seconds)) } else { Err(claim.malformed()) }
}
