//! The answer to a callback that is not forwarded: RFC 9457 problem details, RFC 6750 challenge.

use alloc::borrow::Cow;
use alloc::format;
use alloc::sync::Arc;

/// How long the sender is asked to wait when the fault is ours: Vonage's own first retry comes after 5 seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// A whole HTTP answer, ready for a host to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    challenge: Option<Arc<str>>,
    body: Cow<'static, str>,
}

impl Reply {
    /// `challenge` goes with a 401.
    pub(crate) fn new(status: u16, challenge: &Arc<str>, exposed_code: Option<&str>) -> Self {
        let body = match exposed_code {
            Some(code) => {
                format!(r#"{{"type":"about:blank","title":"{}","status":{status},"code":"{code}"}}"#, title(status))
                    .into()
            }
            None => plain_body(status).into(),
        };
        Self { status, challenge: (status == 401).then(|| Arc::clone(challenge)), body }
    }

    /// The answer where there is no verdict, because the host could not do its part: a fault of ours, tried again.
    #[must_use]
    pub fn unavailable() -> Self {
        Self { status: 503, challenge: None, body: plain_body(503).into() }
    }

    /// The header fields, in the order they are sent. `Content-Length` is the host's.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let retry_after = (self.status == 503).then_some(("retry-after", RETRY_AFTER_SECONDS));
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

fn title(status: u16) -> &'static str {
    match status {
        401 => "Unauthorized",
        413 => "Content Too Large",
        _ => "Service Unavailable",
    }
}

fn plain_body(status: u16) -> &'static str {
    match status {
        401 => r#"{"type":"about:blank","title":"Unauthorized","status":401}"#,
        413 => r#"{"type":"about:blank","title":"Content Too Large","status":413}"#,
        _ => r#"{"type":"about:blank","title":"Service Unavailable","status":503}"#,
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
