//! Genuine callbacks, which can be sent again.
use secure_callbacks_harness::ids;
use secure_callbacks_harness::send::Message;
use secure_callbacks_support::{Framing, Sample, Token, sample};
use std::time::{SystemTime, UNIX_EPOCH};

/// One callback with an id of its own.
#[derive(Clone)]
pub(crate) struct Callback {
    pub(crate) id: String,
    pub(crate) token: Token,
    pub(crate) message: Message,
}

impl Callback {
    /// One below `/callbacks/`.
    pub(crate) fn new() -> Self {
        Self::below("/callbacks/")
    }

    /// One below `prefix`.
    pub(crate) fn below(prefix: &str) -> Self {
        Self::signed(prefix, |token| token)
    }

    /// One whose token was changed before it was signed.
    pub(crate) fn signed(prefix: &str, change: impl FnOnce(Token) -> Token) -> Self {
        let id = ids::unique();
        let body = sample(Sample::Archive);
        let token = change(Token::valid(body, now()));
        let message = Message::post(&format!("{prefix}{id}"), body, Some(&token.sign()));
        Self { id, token, message }
    }

    /// The same token and body to a path with another id, so that the two can be told apart behind the proxy.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = self.clone();
        copy.id = ids::unique();
        copy.message.path = copy.message.path.replace(&self.id, &copy.id);
        copy
    }

    /// The same callback in another framing.
    pub(crate) fn framed(&self, framing: Framing) -> Self {
        Self { message: self.message.clone().framed(framing), ..self.clone() }
    }

    /// Its `jti`.
    pub(crate) fn jti(&self) -> &str {
        self.token.jti().unwrap_or_default()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
