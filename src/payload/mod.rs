//! What `payload_hash` is over: the body, counted against the limit and hashed as it streams by; or a GET's query.

mod query;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use crate::claim::{Claim, Reason};
use crate::code::Rejection;

/// What a request asks for, as its sender wrote it (RFC 9112 section 3).
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'r> {
    /// The method.
    pub method: &'r [u8],
    /// The request target: the path, and the query behind the first `?`.
    pub target: &'r [u8],
}

impl<'r> RequestLine<'r> {
    /// The query of a GET; that of another method says nothing.
    fn query_of_get(self) -> Option<&'r [u8]> {
        let mut parts = self.target.splitn(2, |byte| *byte == b'?');
        let query = parts.nth(1).unwrap_or_default();
        (self.method == b"GET").then_some(query)
    }
}

/// What is still to be found out about the payload.
#[derive(Debug)]
pub(crate) struct PayloadCheck {
    /// How much of a body may still come.
    room: u64,
    /// What a longer one is.
    beyond: Reason,
    /// `None`: nothing is asked of the body.
    expected: Option<[u8; 32]>,
    hasher: Sha256,
}

/// The payload is not the one that was signed.
const MISMATCH: Reason = Claim::PayloadHash.fails(Rejection::PayloadHashMismatch);

impl PayloadCheck {
    /// `expected` is the `payload_hash` claim; `None` where the policy does not ask for it, and nothing is hashed.
    pub(crate) fn new(max_body_size: u64, expected: Option<[u8; 32]>) -> Self {
        let beyond = Reason { rejection: Rejection::BodyTooLarge, claim: None };
        Self { room: max_body_size, beyond, expected, hasher: Sha256::new() }
    }

    /// Takes a GET's query for the payload; no body may follow then. Of every other method the body stays the payload.
    /// Without a request line nobody knows which of the two it is.
    pub(crate) fn take_query(&mut self, line: Option<RequestLine<'_>>) -> Result<(), Reason> {
        let Some(expected) = self.expected else { return Ok(()) };
        let Some(query) = line.ok_or(MISMATCH)?.query_of_get() else { return Ok(()) };
        if query::hash(query) != Some(expected) {
            return Err(MISMATCH);
        }
        (self.room, self.beyond, self.expected) = (0, MISMATCH, None);
        Ok(())
    }

    pub(crate) fn check_length(&self, ahead: u64) -> Result<(), Reason> {
        if ahead > self.room { Err(self.beyond) } else { Ok(()) }
    }

    pub(crate) fn update(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.room = self.room.checked_sub(size).ok_or(self.beyond)?;
        if self.expected.is_some() {
            self.hasher.update(chunk);
        }
        Ok(())
    }

    /// The hash of a body that its sender knows is no secret, so an ordinary comparison serves.
    pub(crate) fn finish(self) -> Result<(), Reason> {
        let Some(expected) = self.expected else { return Ok(()) };
        let is_same = self.hasher.finalize() == expected;
        if is_same { Ok(()) } else { Err(MISMATCH) }
    }
}

/// Reads a `payload_hash` claim: 64 hex digits, either case.
pub(crate) fn parse_payload_hash(text: &str) -> Result<[u8; 32], Reason> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| Claim::PayloadHash.malformed())?;
    Ok(hash)
}
