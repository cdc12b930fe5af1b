//! Who sent a callback, and the header fields that tell the application.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

use crate::verdict::Conclusion;

/// The names of the identity headers, in lower case. A copy that comes from outside, as header or as trailer, is never
/// passed on.
pub const HEADER_NAMES: [&str; 6] = [
    "x-callback-verified",
    "x-callback-api-key",
    "x-callback-application-id",
    "x-callback-jti",
    "x-callback-iat",
    "x-ssl-client-subject-dn",
];

/// A claim that goes into a header or a log line is no longer than this; Vonage's are UUIDs of 36.
const LONGEST_TEXT: usize = 256;

/// Whether a text may stand in a header and in a log line: visible ASCII only, so it can't break either.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The claims that name the sender, of a token whose signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub(crate) api_key: Box<str>,
    pub(crate) application_id: Option<Box<str>>,
    pub(crate) jti: Option<Box<str>>,
    pub(crate) iat: Option<i64>,
}

impl Identity {
    /// The account.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The application, if the token names one.
    #[must_use]
    pub fn application_id(&self) -> Option<&str> {
        self.application_id.as_deref()
    }

    /// The token's own id, if it has one.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }

    /// When the token was issued, in Unix seconds.
    #[must_use]
    pub fn iat(&self) -> Option<i64> {
        self.iat
    }
}

/// The values of [`HEADER_NAMES`], in that order; an empty one means that the header is removed (or emptied).
#[derive(Debug)]
pub struct IdentityHeaders<'c> {
    code: &'static str,
    identity: Option<&'c Identity>,
    iat: String,
    subject: &'c str,
}

impl IdentityHeaders<'_> {
    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let identity = self.identity;
        let values = [
            self.code,
            identity.map_or("", Identity::api_key),
            identity.and_then(Identity::application_id).unwrap_or(""),
            identity.and_then(Identity::jti).unwrap_or(""),
            &self.iat,
            self.subject,
        ];
        HEADER_NAMES.into_iter().zip(values)
    }
}

impl Conclusion<'_> {
    /// What the application is told. `subject` is that of a certificate which the proxy validated, or empty.
    #[must_use]
    pub fn identity_headers<'c>(&'c self, subject: &'c str) -> IdentityHeaders<'c> {
        let identity = self.identity.as_ref();
        let iat = identity.and_then(Identity::iat).map(|iat| iat.to_string()).unwrap_or_default();
        IdentityHeaders { code: self.code, identity, iat, subject }
    }

    /// The line for the log, or `None` for an accepted callback. Never holds a token, a secret or a body.
    #[must_use]
    pub fn log_line<'c>(&'c self, policy: &'c str, source: &'c str) -> Option<LogLine<'c>> {
        (self.code != crate::verdict::ACCEPTED).then_some(LogLine { conclusion: self, policy, source })
    }
}

/// One refusal or fault, in words for the log.
#[derive(Debug)]
pub struct LogLine<'c> {
    conclusion: &'c Conclusion<'c>,
    policy: &'c str,
    source: &'c str,
}

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.conclusion.identity.as_ref();
        let what = match self.conclusion.outcome {
            crate::Outcome::Forward(_) => "reported",
            crate::Outcome::Reply(_) => "refused",
        };
        write!(
            f,
            "secure_callbacks: callback {what}: policy={} code={} api_key={} jti={} source={}",
            self.policy,
            self.conclusion.code,
            identity.map_or("-", Identity::api_key),
            identity.and_then(Identity::jti).unwrap_or("-"),
            if self.source.is_empty() { "-" } else { self.source },
        )
    }
}
