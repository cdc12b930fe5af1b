//! The claims that a policy may ask about (RFC 7519 section 4, and Vonage's own).

use alloc::borrow::Cow;

use super::json::{Scalar, members};
use crate::claim::{Claim, Reason};
use crate::code::Rejection;

/// The members of the payload that are claims, by [`Claim`], present or not, of whatever type: each getter says what it
/// needs.
#[derive(Debug)]
pub(crate) struct Claims<'t>([Option<Scalar<'t>>; Claim::COUNT]);

impl<'t> Claims<'t> {
    pub(crate) fn parse(json: &'t str) -> Result<Self, Rejection> {
        let index = |name: &str| Claim::named(name).map(|claim| claim as usize);
        members(json, index).map(Self).ok_or(Rejection::TokenMalformed)
    }

    fn get(&self, claim: Claim) -> Option<&Scalar<'t>> {
        self.0.get(claim as usize)?.as_ref()
    }

    /// When the token was issued, in Unix seconds.
    pub(crate) fn iat(&self) -> Result<i64, Reason> {
        self.date(Claim::Iat)?.ok_or(Claim::Iat.missing())
    }

    /// When it ends, if it says so.
    pub(crate) fn exp(&self) -> Result<Option<i64>, Reason> {
        self.date(Claim::Exp)
    }

    /// When it begins, if it says so.
    pub(crate) fn nbf(&self) -> Result<Option<i64>, Reason> {
        self.date(Claim::Nbf)
    }

    pub(crate) fn iss(&self) -> Result<&str, Reason> {
        self.required(Claim::Iss)
    }

    pub(crate) fn api_key(&self) -> Result<&str, Reason> {
        self.required(Claim::ApiKey)
    }

    pub(crate) fn application_id(&self) -> Result<&str, Reason> {
        self.required(Claim::ApplicationId)
    }

    pub(crate) fn jti(&self) -> Result<&str, Reason> {
        self.required(Claim::Jti)
    }

    pub(crate) fn payload_hash(&self) -> Result<Option<&str>, Reason> {
        self.text(Claim::PayloadHash)
    }

    fn text(&self, claim: Claim) -> Result<Option<&str>, Reason> {
        match self.get(claim) {
            None => Ok(None),
            Some(Scalar::Text(Cow::Borrowed(text))) => Ok(Some(text)),
            Some(Scalar::Text(Cow::Owned(text))) => Ok(Some(text)),
            Some(_) => Err(claim.malformed()),
        }
    }

    fn required(&self, claim: Claim) -> Result<&str, Reason> {
        self.text(claim)?.ok_or(claim.missing())
    }

    /// A `NumericDate` (RFC 7519 section 2): seconds, perhaps with a fraction, which is dropped.
    fn date(&self, claim: Claim) -> Result<Option<i64>, Reason> {
        /// Dates are compared in i64 with durations added: this leaves room, and ends beyond the year 280,000,000.
        const FURTHEST: i64 = 1 << 53;
        let seconds = match self.get(claim) {
            None => return Ok(None),
            Some(Scalar::Integer(seconds)) => *seconds,
            // The cast saturates, and the range below refuses what did.
            #[expect(clippy::cast_possible_truncation)]
            Some(Scalar::Fraction(seconds)) if seconds.is_finite() => *seconds as i64,
            Some(_) => return Err(claim.malformed()),
        };
        if (0..FURTHEST).contains(&seconds) { Ok(Some(seconds)) } else { Err(claim.malformed()) }
    }
}
