//! The header field that a token comes in.

use crate::code::Rejection;

/// Vonage's tokens have about 420 bytes. Proxies take headers of this size and more, so that the bound is ours to set.
const LONGEST_TOKEN: usize = 8 * 1024;

/// The scheme of the `Authorization` header (RFC 6750 section 2.1).
const SCHEME: &[u8] = b"bearer";

/// The token header of a request, as it came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenField<T> {
    /// Not there.
    #[default]
    Absent,
    /// There once: its bytes.
    Once(T),
    /// There more than once: which of them counts is anybody's guess.
    Repeated,
}

impl<T> TokenField<T> {
    /// The header comes, perhaps not for the first time.
    pub fn add(&mut self, value: T) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }
}

impl<T: AsRef<[u8]>> TokenField<T> {
    /// What [`RequestHead::token`](crate::RequestHead::token) takes.
    #[must_use]
    pub fn bytes(&self) -> TokenField<&[u8]> {
        match self {
            Self::Absent => TokenField::Absent,
            Self::Once(value) => TokenField::Once(value.as_ref()),
            Self::Repeated => TokenField::Repeated,
        }
    }
}

/// Takes the token out of its header's value.
///
/// `scheme_required`: in `authorization` the token follows `Bearer `; elsewhere that is optional.
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
}
