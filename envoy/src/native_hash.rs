//! SHA-256 by Envoy's own cryptography: three times as fast as in the sandbox, with all copies that it takes.
//!
//! Envoy lends no hash, but verifies signatures (the foreign function `verify_signature`), and a signature is over a hash.
//! So it is asked about one that anybody can make: RSA with a public key whose function changes nothing, so that a hash's
//! signature is the padded hash itself. It is good if, and only if, the text has that hash. Nothing here is secret, and
//! nothing rests on who can sign: only on SHA-256.
//!
//! Why the key changes nothing: its modulus is a product of different primes `p`, and its exponent is 1 modulo `p - 1` for
//! each of them, so by Fermat's little theorem `x^e = x` modulo each and, by the Chinese remainder theorem, modulo their
//! product. A test takes it apart.
//!
//! What Envoy does not confirm counts as not known, and is hashed in the sandbox: only there is a body found to be another.

use std::ops::RangeInclusive;

use prost::encoding::encode_varint;

/// Calls that are Envoy's own, beyond the ABI.
pub trait ForeignFunctions {
    /// What the function returned; `None` if it failed or there is none of that name.
    fn call(&self, function: &str, arguments: &[u8]) -> Option<Vec<u8>>;
}

/// The name of Envoy's function.
pub const FUNCTION: &str = "verify_signature";

/// What it returns for a good signature: the message `VerifySignatureResult`, its field `result` set.
const GOOD: [u8; 2] = [0x08, 0x01];

/// The sizes of bodies, in bytes, that are worth it. The call takes as long as the sandbox takes for some 13 KiB; and a
/// body larger than that of any callback is not read into the sandbox as a whole, because its memory never shrinks.
pub const SIZES: RangeInclusive<usize> = 16 * 1024..=1024 * 1024;

/// The public key (RFC 5280 `SubjectPublicKeyInfo`): the product of the 99 odd primes but 5 that are one more than a divisor
/// of 1663200; the exponent is 1663201.
pub const PUBLIC_KEY: [u8; 162] = *b"\
    \x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89\x02\x81\
    \x81\x00\x9a\xc2\xc8\xe6\x45\xcb\x46\xf4\x05\x94\x37\x67\xf5\x6e\x91\x3f\xa8\x09\xc7\x16\xbb\xcb\x69\x4c\xe0\
    \x58\x27\x65\x04\x58\x3e\x53\x24\xdc\x3e\x66\x7c\xfb\x9c\x23\xce\x63\x13\x3c\x24\x48\x34\x90\x70\xd1\x63\xd5\
    \x67\x4d\x8b\xfc\xa7\xb9\x38\x29\x44\x6e\x6b\x9b\xb4\x58\xc0\x89\xff\x23\x4c\xbe\x5c\x92\x06\xde\xc1\x09\x05\
    \x39\x89\x61\xe2\xd2\x6d\x6b\xe0\xa9\x91\x65\x7d\x56\xbc\x37\xf8\x89\xe8\xa8\x59\x34\x7b\xe6\xd7\x22\xe9\x0a\
    \x19\xa0\x34\xab\x4a\x04\xbf\x1c\x04\xf1\x94\xe4\x9a\xac\x42\x37\xeb\x4c\x46\x32\x01\x03\x02\x03\x19\x60\xe1";

/// The message `VerifySignatureArguments` up to the expected hash: each field is its number and type in a byte, then its
/// length, then itself. The signature is EMSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 9.2).
const BEFORE_HASH: [u8; 272] = joined([
    b"\x0a\x06sha256",
    b"\x12\xa2\x01",
    &PUBLIC_KEY,
    b"\x1a\x80\x01\x00\x01",
    &[0xff; 74],
    b"\x00\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
]);

/// Joins parts that have this length together.
const fn joined<const PARTS: usize, const LENGTH: usize>(parts: [&[u8]; PARTS]) -> [u8; LENGTH] {
    let mut joined = [0; LENGTH];
    let (mut rest, mut parts): (&mut [u8], &[&[u8]]) = (&mut joined, &parts);
    while let [part, more @ ..] = parts {
        let (here, after) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        (rest, parts) = (after, more);
    }
    assert!(rest.is_empty());
    joined
}

/// Its last field, the text, starts with this.
const TEXT: u8 = 0x22;

/// How long a message is without its text, and a little more.
const FRAME_BYTES: usize = 320;

/// A body, and the question to Envoy whether its hash is the expected one.
#[derive(Debug)]
pub struct Question {
    message: Vec<u8>,
    body_at: usize,
}

impl Question {
    /// About a body of `size` bytes, none of which is there yet.
    #[must_use]
    pub fn new(expected: &[u8; 32], size: usize) -> Self {
        let mut message = Vec::with_capacity(size.saturating_add(FRAME_BYTES));
        message.extend_from_slice(&BEFORE_HASH);
        message.extend_from_slice(expected);
        message.push(TEXT);
        encode_varint(u64::try_from(size).unwrap_or(u64::MAX), &mut message);
        let body_at = message.len();
        Self { message, body_at }
    }

    /// Adds the next bytes of the body.
    pub fn add(&mut self, slice: &[u8]) {
        self.message.extend_from_slice(slice);
    }

    /// The body, as far as it was added.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.message.get(self.body_at..).unwrap_or_default()
    }
}

/// SHA-256 of `abc` (FIPS 180-4's own example).
const HASH_OF_ABC: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61,
    0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

/// An Envoy that can compare hashes.
#[derive(Debug, Clone, Copy)]
pub struct NativeHash(());

impl NativeHash {
    /// Tries whether Envoy can: it must know a text by its hash, and another not.
    #[must_use]
    pub fn probe(host: &impl ForeignFunctions) -> Option<Self> {
        let knows = |text: &[u8; 3]| {
            let mut question = Question::new(&HASH_OF_ABC, text.len());
            question.add(text);
            Self(()).confirms(host, &question)
        };
        (knows(b"abc") && !knows(b"abd")).then_some(Self(()))
    }

    /// Whether Envoy finds that the body has the expected hash. `false`: it has not, or Envoy can't tell.
    #[must_use]
    pub fn confirms(self, host: &impl ForeignFunctions, question: &Question) -> bool {
        host.call(FUNCTION, &question.message).is_some_and(|result| result == GOOD)
    }
}
