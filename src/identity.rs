//! Who sent a callback.

use alloc::string::String;
use core::fmt::Write as _;

/// A claim that goes into a header or a log line is no longer than this; Vonage's are UUIDs of 36.
const LONGEST_TEXT: usize = 256;

/// The digits of the largest `i64`, and a sign.
const LONGEST_NUMBER: usize = 20;

/// Whether a text may stand in a header and in a log line: visible ASCII only, so it can't break either.
pub(crate) fn is_plain(text: &str) -> bool {
    // Looked at to the end, which a compiler turns into a few steps of many bytes each; `all` would go byte by byte.
    let all_graphic = || text.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic());
    !text.is_empty() && text.len() <= LONGEST_TEXT && all_graphic()
}

/// The claims that name the sender, of a token whose signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `api_key`, `application_id`, `jti` and `iat` in digits, one after the other in one allocation.
    text: String,
    /// Where each of the last three begins. One that is not there is empty.
    starts: [usize; 3],
    iat: Option<i64>,
}

impl Identity {
    /// Claims that could break a header or a log line are left out.
    pub(crate) fn new(api_key: &str, application_id: Option<&str>, jti: Option<&str>, iat: Option<i64>) -> Self {
        let [application_id, jti] =
            [application_id, jti].map(|claim| claim.filter(|text| is_plain(text)).unwrap_or(""));
        let mut text = String::with_capacity(api_key.len() + application_id.len() + jti.len() + LONGEST_NUMBER);
        let starts = [api_key, application_id, jti].map(|claim| {
            text.push_str(claim);
            text.len()
        });
        if let Some(iat) = iat {
            // Writing into memory does not fail.
            let _ = write!(text, "{iat}");
        }
        Self { text, starts, iat }
    }

    /// The account.
    #[must_use]
    pub fn api_key(&self) -> &str {
        let [end, ..] = self.starts;
        self.part(0, end)
    }

    /// The application, if the token names one.
    #[must_use]
    pub fn application_id(&self) -> Option<&str> {
        let [start, end, _] = self.starts;
        Some(self.part(start, end)).filter(|text| !text.is_empty())
    }

    /// The token's own id, if it has one.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        let [_, start, end] = self.starts;
        Some(self.part(start, end)).filter(|text| !text.is_empty())
    }

    /// [`Identity::iat`] in digits, or empty.
    pub(crate) fn iat_digits(&self) -> &str {
        let [.., start] = self.starts;
        self.part(start, self.text.len())
    }

    /// Not put into each of the many places that ask: the filter is to stay small.
    #[inline(never)]
    fn part(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// When the token was issued, in Unix seconds.
    #[must_use]
    pub fn iat(&self) -> Option<i64> {
        self.iat
    }
}
