//! HMAC-SHA-256 (RFC 2104) with the key worked in beforehand, once for each secret: that is one block of SHA-256 for
//! each of its two hashes, of the seven or so that a token's signature takes.
//!
//! `hmac` has no way to put such a state into the bytes that `jsonwebtoken` takes for a key. So the hashes begin here, at
//! the states that the key leaves, and go on by the compression function of `sha2`; tests hold them to `hmac`'s results.

use alloc::vec::Vec;
use core::hint::black_box;

use digest::CtOutput;
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// SHA-256's block size in bytes, which is HMAC's key size.
const BLOCK: usize = 64;

/// Where the length stands in the last block, in bits and in eight bytes (FIPS 180-4 section 5.1.1).
const LENGTH_AT: usize = BLOCK - 8;

/// SHA-256 between two blocks.
type State = [u32; 8];

/// SHA-256 before the first block (FIPS 180-4 section 5.3.3).
const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The two hashes of RFC 2104 section 2, each with its padded key taken in. As secret as the key: whoever has them can
/// sign.
pub(super) struct Keyed {
    inner: State,
    outer: State,
}

impl Keyed {
    /// For a key of any length.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        if key.len() > BLOCK {
            let hashed = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key)));
            fill(block.as_mut_slice(), hashed.as_slice());
        } else {
            fill(block.as_mut_slice(), key);
        }
        let padded = |pad: u8| {
            let mut padded = block.clone();
            padded.iter_mut().for_each(|byte| *byte ^= pad);
            let mut state = START;
            compress256(&mut state, core::slice::from_ref(&*padded));
            state
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// Both states one after the other.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // As large as both: a growing vector would leave copies of its bytes behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * size_of::<State>()));
        bytes.extend([self.inner, self.outer].as_flattened().iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    /// What [`Keyed::to_bytes`] made; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let (inner, outer) = words.split_first_chunk::<8>()?;
        let state = |words: &[[u8; 4]; 8]| words.map(u32::from_le_bytes);
        rest.is_empty().then_some(Self { inner: state(inner), outer: state(outer.try_into().ok()?) })
    }

    /// Whether `tag` is the message's. Constant time in the tag's bytes. One of another length is none, and takes the
    /// hash all the same: every refused signature does.
    pub(super) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        let mac = black_box(self.mac(message));
        tag.try_into().is_ok_and(|tag: &[u8; 32]| mac == CtOutput::new((*tag).into()))
    }

    fn mac(&self, message: &[u8]) -> CtOutput<Sha256> {
        CtOutput::new(hash_from(self.outer, &hash_from(self.inner, message)).into())
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The hash of one block, which led to `state`, and the message after it.
fn hash_from(mut state: State, message: &[u8]) -> [u8; 32] {
    let (blocks, rest) = message.as_chunks();
    compress256(&mut state, blocks);
    // What is left, a bit, zeros and the length: they end with a first block or with a second.
    let mut end = [[0; BLOCK]; 2];
    fill(end.as_flattened_mut(), rest);
    if let Some(after) = end.as_flattened_mut().get_mut(rest.len()) {
        *after = 0x80;
    }
    let (end, _) = end.split_at_mut(if rest.len() < LENGTH_AT { 1 } else { 2 });
    let bits = u64::try_from(message.len()).unwrap_or(u64::MAX).saturating_add(BLOCK as u64).saturating_mul(8);
    if let Some(length) = end.last_mut().and_then(|block| block.last_chunk_mut()) {
        *length = bits.to_be_bytes();
    }
    compress256(&mut state, end);
    let mut hash = [0; 32];
    fill(&mut hash, state.map(u32::to_be_bytes).as_flattened());
    hash
}

fn fill(bytes: &mut [u8], from: &[u8]) {
    bytes.iter_mut().zip(from).for_each(|(byte, from)| *byte = *from);
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
