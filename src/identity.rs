//! Who sent a callback, and the header fields that tell the application.

use alloc::string::String;
use core::fmt::{self, Write as _};

use crate::code::{Code, Severity};
use crate::conclusion::{Conclusion, Outcome};
use crate::names::IDENTITY_HEADERS;

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
        self.text.get(..end).unwrap_or_default()
    }

    /// The application, if the token names one.
    #[must_use]
    pub fn application_id(&self) -> Option<&str> {
        let [start, end, _] = self.starts;
        self.text.get(start..end).filter(|text| !text.is_empty())
    }

    /// The token's own id, if it has one.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        let [_, start, end] = self.starts;
        self.text.get(start..end).filter(|text| !text.is_empty())
    }

    /// [`Identity::iat`] in digits, or empty.
    fn iat_digits(&self) -> &str {
        let [.., start] = self.starts;
        self.text.get(start..).unwrap_or_default()
    }

    /// When the token was issued, in Unix seconds.
    #[must_use]
    pub fn iat(&self) -> Option<i64> {
        self.iat
    }
}

/// The values of [`IDENTITY_HEADERS`], in that order; an empty one means that the header is removed (or emptied).
#[derive(Debug)]
pub struct IdentityHeaders<'c> {
    code: Code,
    identity: Option<&'c Identity>,
    subject: &'c str,
}

impl IdentityHeaders<'_> {
    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        IDENTITY_HEADERS.into_iter().zip(self.values())
    }

    /// The values alone, in the names' order.
    #[must_use]
    pub fn values(&self) -> [&str; IDENTITY_HEADERS.len()] {
        let identity = self.identity;
        [
            self.code.as_str(),
            identity.map_or("", Identity::api_key),
            identity.and_then(Identity::application_id).unwrap_or(""),
            identity.and_then(Identity::jti).unwrap_or(""),
            identity.map_or("", Identity::iat_digits),
            self.subject,
        ]
    }
}

impl Conclusion {
    /// What the application is told. `subject` is that of a certificate which the proxy validated, or empty.
    #[must_use]
    pub fn identity_headers<'c>(&'c self, subject: &'c str) -> IdentityHeaders<'c> {
        IdentityHeaders { code: self.code, identity: self.identity.as_ref(), subject }
    }

    /// The line for the log, or `None` for an accepted callback. Never holds a token, a secret or a body.
    #[must_use]
    pub fn log_line<'c>(&'c self, policy: &'c str, source: &'c str) -> Option<LogLine<'c>> {
        (self.code.severity() != Severity::Silent).then_some(LogLine { conclusion: self, policy, source })
    }
}

/// One refusal or fault, in words for the log.
#[derive(Debug)]
pub struct LogLine<'c> {
    conclusion: &'c Conclusion,
    policy: &'c str,
    source: &'c str,
}

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.conclusion.identity.as_ref();
        let what = match self.conclusion.outcome {
            Outcome::Forward(_) => "reported",
            Outcome::Reply(_) => "refused",
        };
        write!(
            f,
            "secure_callbacks: callback {what}: policy={} code={} api_key={} jti={} source={}",
            self.policy,
            self.conclusion.code.as_str(),
            identity.map_or("-", Identity::api_key),
            identity.and_then(Identity::jti).unwrap_or("-"),
            if self.source.is_empty() { "-" } else { self.source },
        )
    }
}
