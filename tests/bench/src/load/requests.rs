//! Callbacks as the bytes that go over the wire. Every one has a token of its own, so that the check for replays is part
//! of what is measured; all are made before a round begins.

use bytes::Bytes;
use secure_callbacks_harness::clock;
use secure_callbacks_support::Token;
use secure_callbacks_support::token::payload_hash;

/// Where callbacks go.
pub(crate) const PATH: &str = "/callbacks/video";

/// What is wrong with a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nothing.
    Good,
    /// Signed with another secret.
    Forged,
    /// Signed for another body of the same length.
    ChangedBody,
}

/// One callback, ready to be sent in either protocol.
#[derive(Clone)]
pub(crate) struct Callback {
    pub(crate) token: String,
    /// HTTP/1.1: the head, and with it a body that is small enough to go in one write.
    pub(crate) wire: Vec<u8>,
    /// What is left of the body after `wire`.
    pub(crate) rest: Bytes,
    pub(crate) body: Bytes,
}

/// Bodies up to this size go in one write with the head.
const ONE_WRITE: usize = 16 * 1024;

/// A body of exactly `size` bytes, JSON like a session event.
pub(crate) fn body(size: usize) -> Bytes {
    let start = r#"{"sessionId":"1_MX4xMjM0NTY3OH5-","projectId":"123456","event":"connectionCreated","reason":""#;
    let end = r#""}"#;
    let filler = size.saturating_sub(start.len() + end.len());
    let mut text = String::with_capacity(size);
    text.push_str(start);
    text.extend(std::iter::repeat_n('x', filler));
    text.push_str(end);
    text.into()
}

/// `count` callbacks with this body.
pub(crate) fn make(count: usize, body: &Bytes, kind: Kind) -> Vec<Callback> {
    let now = clock::now();
    let hash = payload_hash(body);
    let sent = match kind {
        Kind::Good | Kind::Forged => body.clone(),
        Kind::ChangedBody => body.iter().rev().copied().collect(),
    };
    (0..count)
        .map(|_| {
            // The hash of a large body is taken once and not for each token.
            let token = Token::valid(b"", now).claim("payload_hash", hash.as_str());
            let token = match kind {
                Kind::Forged => token.secret("a-secret-that-nobody-here-has-given").sign(),
                Kind::Good | Kind::ChangedBody => token.sign(),
            };
            Callback::new(token, &sent)
        })
        .collect()
}

impl Callback {
    fn new(token: String, body: &Bytes) -> Self {
        let mut wire = format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let mut rest = body.clone();
        if body.len() <= ONE_WRITE {
            wire.extend_from_slice(&rest);
            rest.clear();
        }
        Self { token, wire, rest, body: body.clone() }
    }
}
