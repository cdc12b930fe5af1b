//! Callbacks: genuine ones, which can be sent again and taken apart, and forgeries made of them.
use crate::send::{Message, http1};
use crate::{clock, ids};
use secure_callbacks_support::{Framing, Sample, Token, sample};

/// One callback with an id of its own in its path.
#[derive(Clone)]
pub struct Callback {
    /// The id.
    pub id: String,
    /// What its token was made of.
    pub token: Token,
    /// The request.
    pub message: Message,
}

impl Default for Callback {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback {
    /// A genuine one below `/callbacks/`.
    #[must_use]
    pub fn new() -> Self {
        Self::below("/callbacks/")
    }

    /// A genuine one below `prefix`.
    #[must_use]
    pub fn below(prefix: &str) -> Self {
        Self::signed(prefix, |token| token)
    }

    /// One whose token was changed before it was signed.
    #[must_use]
    pub fn signed(prefix: &str, change: impl FnOnce(Token) -> Token) -> Self {
        Self::made(prefix, sample(Sample::Archive), change)
    }

    /// A genuine one with this body.
    #[must_use]
    pub fn with_body(body: &[u8]) -> Self {
        Self::made("/callbacks/", body, |token| token)
    }

    /// One with this body, whose token was changed before it was signed.
    #[must_use]
    pub fn made(prefix: &str, body: &[u8], change: impl FnOnce(Token) -> Token) -> Self {
        let id = ids::unique();
        let token = change(Token::valid(body, clock::now()));
        let message = Message::post(&format!("{prefix}{id}"), body, Some(&token.sign()));
        Self { id, token, message }
    }

    /// A forged one: the body is not the one that was signed.
    #[must_use]
    pub fn forged() -> Self {
        Self::new().with_other_body(b"{\"forged\":true}")
    }

    /// The same token before another body.
    #[must_use]
    pub fn with_other_body(mut self, body: &[u8]) -> Self {
        self.message.chunks = vec![body.to_vec()];
        self
    }

    /// The same token and body to a path with another id, so that the two can be told apart behind the proxy.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut copy = self.clone();
        copy.id = ids::unique();
        copy.message.path = copy.message.path.replace(&self.id, &copy.id);
        copy
    }

    /// The same callback in another framing.
    #[must_use]
    pub fn framed(&self, framing: Framing) -> Self {
        Self { message: self.message.clone().framed(framing), ..self.clone() }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { message: self.message.header(name, value), ..self }
    }

    /// The same without its token.
    #[must_use]
    pub fn without_token(self) -> Self {
        Self { message: self.message.without("Authorization"), ..self }
    }

    /// The same with another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.message.method = method.into();
        self
    }

    /// Its `jti`.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.token.jti().unwrap_or_default()
    }

    /// All its bytes, in HTTP/1.1.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        http1::writes(&self.message).concat()
    }
}
