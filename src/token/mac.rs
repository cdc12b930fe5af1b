//! HMAC-SHA-256 (RFC 2104) with the key worked in beforehand, once for each secret: that is one block of SHA-256 for
//! each of its two hashes, of the seven or so that a token's signature takes.
//!
//! `hmac` has no way to put such a state into the bytes that `jsonwebtoken` takes for a key. SHA-256 itself has, and
//! what HMAC adds to it is the two lines of [`Keyed::mac`]; tests hold both to that crate's results.

use alloc::vec::Vec;
use core::hint::black_box;

use digest::CtOutput;
use digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// SHA-256's block size in bytes, which is HMAC's key size.
const BLOCK: usize = 64;

/// The two hashes of RFC 2104 section 2, each with its padded key taken in. As secret as the key: whoever has them can
/// sign; `sha2` wipes them when they go.
pub(super) struct Keyed {
    inner: Sha256,
    outer: Sha256,
}

impl Keyed {
    /// For a key of any length.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        if key.len() > BLOCK {
            let hashed = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key)));
            fill(&mut block, hashed.as_slice());
        } else {
            fill(&mut block, key);
        }
        let padded = |pad: u8| {
            let mut padded = block.clone();
            padded.iter_mut().for_each(|byte| *byte ^= pad);
            Sha256::new_with_prefix(padded.as_slice())
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// Both states one after the other.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut states = [self.inner.serialize(), self.outer.serialize()];
        // Made as large as both: a growing vector would leave copies of its bytes behind.
        let bytes = Zeroizing::new(states.each_ref().map(|state| state.as_slice()).concat());
        states.iter_mut().for_each(|state| state.as_mut_slice().zeroize());
        bytes
    }

    /// What [`Keyed::to_bytes`] made; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (inner, outer) = bytes.split_at_checked(bytes.len() / 2)?;
        let state = |bytes: &[u8]| Sha256::deserialize(<&SerializedState<Sha256>>::try_from(bytes).ok()?).ok();
        Some(Self { inner: state(inner)?, outer: state(outer)? })
    }

    /// Whether `tag` is the message's. Constant time in the tag's bytes. One of another length is none, and takes the
    /// hash all the same: every refused signature does.
    pub(super) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        let mac = black_box(self.mac(message));
        tag.try_into().is_ok_and(|tag: &[u8; 32]| mac == CtOutput::new((*tag).into()))
    }

    fn mac(&self, message: &[u8]) -> CtOutput<Sha256> {
        let inner = self.inner.clone().chain_update(message).finalize();
        CtOutput::new(self.outer.clone().chain_update(inner).finalize())
    }
}

fn fill(block: &mut [u8; BLOCK], key: &[u8]) {
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;

    fn reference(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    proptest! {
        #[test]
        fn agrees_with_the_crate_hmac(
            key in proptest::collection::vec(any::<u8>(), 0..200),
            message in proptest::collection::vec(any::<u8>(), 0..300),
            flipped in 0..256_usize,
        ) {
            let keyed = Keyed::from_bytes(&Keyed::new(&key).to_bytes()).unwrap();
            let mut tag = reference(&key, &message);
            prop_assert!(keyed.verifies(&message, &tag));
            tag[flipped / 8] ^= 1 << (flipped % 8);
            prop_assert!(!keyed.verifies(&message, &tag));
        }
    }

    #[test]
    fn keys_around_the_block_size_agree_too() {
        for length in [0, 1, 32, 63, 64, 65, 128, 129] {
            let key = alloc::vec![7; length];
            assert!(Keyed::new(&key).verifies(b"message", &reference(&key, b"message")), "{length}");
        }
    }

    #[test]
    fn tags_and_states_of_other_lengths_are_none() {
        let keyed = Keyed::new(b"key");
        let tag = reference(b"key", b"message");
        for length in 0..32 {
            assert!(!keyed.verifies(b"message", &tag[..length]), "{length}");
        }
        assert!(!keyed.verifies(b"message", &[tag.as_slice(), &[0]].concat()));
        let state = keyed.to_bytes();
        for wrong in [&[], b"key".as_slice(), &state[1..], &state[..state.len() - 1], &state[2..]] {
            assert!(Keyed::from_bytes(wrong).is_none(), "{}", wrong.len());
        }
    }
}
