//! The body: counted against the limit and hashed as it streams by.

use sha2::{Digest, Sha256};

use crate::claim::{Claim, Reason};
use crate::code::Rejection;

/// What is still to be found out about the body.
#[derive(Debug)]
pub(crate) struct PayloadCheck {
    room: u64,
    /// `None`: nothing is asked.
    expected: Option<[u8; 32]>,
    hasher: Sha256,
}

impl PayloadCheck {
    /// `expected` is the `payload_hash` claim; `None` where the policy does not ask for it, and nothing is hashed.
    pub(crate) fn new(max_body_size: u64, expected: Option<[u8; 32]>) -> Self {
        Self { room: max_body_size, expected, hasher: Sha256::new() }
    }

    pub(crate) fn check_length(&self, ahead: u64) -> Result<(), Rejection> {
        if ahead > self.room { Err(Rejection::BodyTooLarge) } else { Ok(()) }
    }

    pub(crate) fn update(&mut self, chunk: &[u8]) -> Result<(), Rejection> {
        let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.room = self.room.checked_sub(size).ok_or(Rejection::BodyTooLarge)?;
        if self.expected.is_some() {
            self.hasher.update(chunk);
        }
        Ok(())
    }

    /// The hash of a body that its sender knows is no secret, so an ordinary comparison serves.
    pub(crate) fn finish(self) -> Result<(), Reason> {
        let Some(expected) = self.expected else { return Ok(()) };
        let is_same = self.hasher.finalize() == expected;
        if is_same { Ok(()) } else { Err(Claim::PayloadHash.fails(Rejection::PayloadHashMismatch)) }
    }
}

/// Reads a `payload_hash` claim: 64 hex digits, either case.
pub(crate) fn parse_payload_hash(text: &str) -> Result<[u8; 32], Reason> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| Claim::PayloadHash.malformed())?;
    Ok(hash)
}
