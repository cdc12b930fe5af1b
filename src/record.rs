//! What is told of a verdict: to the application in header fields, to the operator in the log and the access log. Names
//! are in [`names`](crate::names).

use core::fmt;

use crate::code::{Code, Severity};
use crate::conclusion::{Conclusion, Outcome};
use crate::identity::Identity;
use crate::names::{AccessLogValue, IDENTITY_HEADERS};

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

    /// Only the values, in the order of the names.
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

impl AccessLogValue {
    /// What it shows of a verdict; `None`: nothing.
    #[must_use]
    pub fn of(self, code: Code, identity: Option<&Identity>) -> Option<&str> {
        match self {
            Self::Result => Some(code.as_str()),
            Self::ApiKey => identity.map(Identity::api_key),
            Self::ApplicationId => identity.and_then(Identity::application_id),
            Self::Jti => identity.and_then(Identity::jti),
        }
    }
}
