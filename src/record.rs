//! What is told of a verdict: to the application in header fields, to the operator in the log and the access log. Names
//! are in [`names`](crate::names).

use core::fmt::{self, Write as _};

use crate::claim::Claim;
use crate::code::{Code, Rejection, Severity};
use crate::conclusion::{Conclusion, Outcome};
use crate::identity::Identity;
use crate::names::{AccessLogValue, IDENTITY_HEADERS};
use crate::time::UnixSeconds;

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

    /// Whether the line for the log tells the subject of the client's certificate.
    #[must_use]
    pub fn tells_subject(&self) -> bool {
        self.code == Code::Rejected(Rejection::ClientCertificateMismatch)
    }

    /// The line for the log, or `None` for an accepted callback. Never holds a token, a secret or a body.
    #[must_use]
    pub fn log_line<'c>(&'c self, request: Circumstances<'c>) -> Option<LogLine<'c>> {
        (self.code.severity() != Severity::Silent).then_some(LogLine { conclusion: self, request })
    }
}

/// What the log tells of a request besides the verdict. What is not known is empty.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'c> {
    /// The policy's name.
    pub policy: &'c str,
    /// The caller's address.
    pub source: &'c str,
    /// The request's path. What follows a `?` in it may be secret, and is left out.
    pub path: &'c [u8],
    /// The subject (RFC 2253) of a certificate that the proxy validated, if [`Conclusion::tells_subject`].
    pub subject: &'c [u8],
    /// When the verdict fell, from which the token's age follows.
    pub now: UnixSeconds,
}

/// One refusal or fault, in words for the log.
#[derive(Debug)]
pub struct LogLine<'c> {
    conclusion: &'c Conclusion,
    request: Circumstances<'c>,
}

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conclusion, request } = self;
        let identity = conclusion.identity.as_ref();
        let what = match conclusion.outcome {
            Outcome::Forward(_) => "reported",
            Outcome::Reply(_) => "refused",
        };
        write!(
            f,
            "secure_callbacks: callback {what}: policy={} code={} api_key={} jti={} source={}",
            request.policy,
            conclusion.code.as_str(),
            identity.map_or("-", Identity::api_key),
            identity.and_then(Identity::jti).unwrap_or("-"),
            if request.source.is_empty() { "-" } else { request.source },
        )?;
        let claim = conclusion.claim.map_or("", Claim::name);
        let (name, value) = match (conclusion.code, identity) {
            (Code::Rejected(Rejection::TokenExpired | Rejection::TokenNotYetValid), Some(identity)) => {
                let age = request.now.saturating_sub(identity.iat().unwrap_or_default());
                f.write_str(" detail=")?;
                age.fmt(f)?;
                (" claim=", claim.as_bytes())
            }
            (Code::Rejected(Rejection::ApplicationNotAllowed), Some(identity)) => {
                (" detail=", identity.application_id().unwrap_or(claim).as_bytes())
            }
            (Code::Rejected(Rejection::ClientCertificateMismatch), _) => (" detail=", request.subject),
            _ => (" detail=", claim.as_bytes()),
        };
        field(f, name, value)?;
        let path = request.path;
        let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
        field(f, " path=", path.get(..end).unwrap_or_default())
    }
}

/// Writes a field whose value may be anything, so that it can't be taken for more of the line: what is not visible ASCII,
/// and quotes, as `%` and two hex digits. Nothing if it is empty.
fn field(f: &mut fmt::Formatter<'_>, name: &str, value: &[u8]) -> fmt::Result {
    /// The longest that is written, in bytes of the value: a line that nginx writes has 2 KiB.
    const LONGEST: usize = 200;
    let hex = |digit: u8| char::from(if digit < 10 { b'0' + digit } else { b'A' - 10 + digit });
    if value.is_empty() {
        return Ok(());
    }
    f.write_str(name)?;
    for byte in value.iter().copied().take(LONGEST) {
        let mut shown = char::from(byte);
        if !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\'') {
            f.write_char('%')?;
            f.write_char(hex(byte >> 4))?;
            shown = hex(byte & 0xf);
        }
        f.write_char(shown)?;
    }
    if value.len() > LONGEST { f.write_str("...") } else { Ok(()) }
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
