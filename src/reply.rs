//! The answer to a callback that is not forwarded: RFC 9457 problem details, RFC 6750 challenge.

use alloc::borrow::Cow;
use alloc::format;
use alloc::sync::Arc;

use crate::code::{Code, Status};

/// The field of every 503, its name and its value: Vonage's own first retry comes after 5 seconds.
pub const RETRY_AFTER: (&str, &str) = ("retry-after", "5");

/// A whole HTTP answer, ready for a host to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: Status,
    challenge: Option<Arc<str>>,
    body: Cow<'static, str>,
}

impl Reply {
    /// `challenge` goes with a 401.
    pub(crate) fn new(status: Status, challenge: &Arc<str>, exposed: Option<Code>) -> Self {
        let body = match exposed {
            Some(code) => {
                let (title, number, code) = (status.title(), status.number(), code.as_str());
                format!(r#"{{"type":"about:blank","title":"{title}","status":{number},"code":"{code}"}}"#).into()
            }
            None => plain_body(status).into(),
        };
        Self { status, challenge: (status == Status::Unauthorized).then(|| Arc::clone(challenge)), body }
    }

    /// The answer where no policy is at hand to ask: a fault of ours, tried again.
    #[must_use]
    pub fn unavailable() -> Self {
        let status = Status::ServiceUnavailable;
        Self { status, challenge: None, body: plain_body(status).into() }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.number()
    }

    /// The header fields, in the order they are sent. `Content-Length` is the host's.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let retry_after = (self.status == Status::ServiceUnavailable).then_some(RETRY_AFTER);
        let challenge = self.challenge.as_deref().map(|value| ("www-authenticate", value));
        [("content-type", CONTENT_TYPE), ("cache-control", CACHE_CONTROL)]
            .into_iter()
            .chain(challenge)
            .chain(retry_after)
    }

    /// The body: a problem object in JSON.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// RFC 9457's media type.
pub const CONTENT_TYPE: &str = "application/problem+json";
const CACHE_CONTROL: &str = "no-store";

/// Written out, since nearly every refusal sends one of these.
const fn plain_body(status: Status) -> &'static str {
    match status {
        Status::Unauthorized => r#"{"type":"about:blank","title":"Unauthorized","status":401}"#,
        Status::ContentTooLarge => r#"{"type":"about:blank","title":"Content Too Large","status":413}"#,
        Status::ServiceUnavailable => r#"{"type":"about:blank","title":"Service Unavailable","status":503}"#,
    }
}

/// The two challenges of a realm (RFC 6750 section 3): with and without `error`, made once when the policy is read, and
/// shared by the replies: a host may keep one for longer than it has the policy at hand.
#[derive(Debug, Clone)]
pub(crate) struct Challenges {
    pub(crate) token_missing: Arc<str>,
    pub(crate) token_invalid: Arc<str>,
}

impl Challenges {
    pub(crate) fn for_realm(realm: &str) -> Self {
        Self {
            token_missing: format!(r#"Bearer realm="{realm}""#).into(),
            token_invalid: format!(r#"Bearer realm="{realm}", error="invalid_token""#).into(),
        }
    }
}
