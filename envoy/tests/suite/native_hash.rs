//! SHA-256 by Envoy: the key that changes nothing, and which bodies are hashed where. Signatures are verified for real,
//! by `ring`.

use ring::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY as RSA, UnparsedPublicKey};
use secure_callbacks_envoy::filter::Flow;
use secure_callbacks_envoy::native_hash::{NativeHash, PUBLIC_KEY, SIZES};

use super::fake::{FakeEnvoy, Shared, bearer, protection};
use super::filter::arrive;

/// `SubjectPublicKeyInfo` up to the `RSAPublicKey` that it holds.
const KEY_INFO: usize = 22;
/// The modulus in `PUBLIC_KEY`.
const MODULUS: std::ops::Range<usize> = 29..157;
/// The exponent, which `PUBLIC_KEY` ends with.
const EXPONENT: u64 = 1_663_201;

/// What Envoy's function does with its arguments, of which each field's length has these many bytes.
fn verify_signature(arguments: &[u8]) -> Option<Vec<u8>> {
    let (hash_function, rest) = field(1, arguments)?;
    let (public_key, rest) = field(2, rest)?;
    let (signature, rest) = field(3, rest)?;
    let (text, rest) = field(4, rest)?;
    assert!(rest.is_empty() && hash_function == b"sha256", "{hash_function:?}");
    let key = UnparsedPublicKey::new(&RSA, &public_key[KEY_INFO..]);
    Some(match key.verify(text, signature) {
        Ok(()) => vec![8, 1],
        Err(_) => b"\x12\x07refused".to_vec(),
    })
}

/// A field of bytes, and what follows it.
fn field(number: u8, mut message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, length) = prost_key(&mut message)?;
    assert_eq!(tag, u32::from(number));
    message.split_at_checked(length)
}

fn prost_key(message: &mut &[u8]) -> Option<(u32, usize)> {
    let (tag, _) = prost::encoding::decode_key(message).ok()?;
    let length = prost::encoding::decode_varint(message).ok()?;
    Some((tag, usize::try_from(length).ok()?))
}

fn lent() -> Shared {
    let shared = Shared::default();
    shared.lend(verify_signature);
    shared
}

/// `x^e = x` modulo every prime that is there once and for which `p - 1` divides `e - 1`; together they are the modulus.
#[test]
fn the_key_changes_nothing() {
    let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    let primes = (1..EXPONENT).filter(|d| (EXPONENT - 1).is_multiple_of(*d)).map(|d| d + 1).filter(is_prime);
    let mut product = vec![1_u8];
    for prime in primes.filter(|prime| ![2, 5].contains(prime)) {
        let mut carry = 0;
        for digit in &mut product {
            carry += u64::from(*digit) * prime;
            *digit = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        while carry > 0 {
            product.push(u8::try_from(carry & 0xff).unwrap());
            carry >>= 8;
        }
    }
    product.reverse();
    assert_eq!(&PUBLIC_KEY[MODULUS], product);
    assert_eq!(PUBLIC_KEY[MODULUS.end..], [2, 3, 0x19, 0x60, 0xe1]);
    assert_eq!(EXPONENT, 0x19_60e1);
}

#[test]
fn envoy_is_used_if_it_tells_hashes_apart() {
    fn agrees(_: &[u8]) -> Option<Vec<u8>> {
        Some(vec![8, 1])
    }
    fn denies(_: &[u8]) -> Option<Vec<u8>> {
        Some(b"\x12\x02no".to_vec())
    }
    assert!(NativeHash::probe(&lent()).is_some());
    assert!(NativeHash::probe(&Shared::default()).is_none(), "there is no such function");
    for useless in [agrees, denies] {
        let shared = Shared::default();
        shared.lend(useless);
        assert!(NativeHash::probe(&shared).is_none());
    }
}

/// Sends a body in pieces; how it ended, and how many hashes Envoy was asked about.
fn send(shared: &Shared, signed: &[u8], sent: &[u8]) -> (Vec<&'static str>, u32) {
    let protection = protection("", shared);
    let envoy = FakeEnvoy::new(shared, &[("authorization", &bearer(signed, "one"))]);
    let mut filter = envoy.filter(&protection);
    let before = shared.verified();
    assert_eq!(filter.request_headers(false), Flow::Hold);
    for piece in [sent.len() / 3, sent.len() / 2] {
        assert_eq!(arrive(&envoy, &mut filter, &sent[..piece], false), Flow::Hold);
    }
    arrive(&envoy, &mut filter, sent, true);
    assert!(envoy.0.largest_slice.get() <= 64 * 1024);
    (envoy.counted(), shared.verified() - before)
}

#[test]
fn the_verdict_is_the_same_whoever_hashes() {
    let longest = 1024 * 1024;
    for (size, asked) in [(0, 0), (1, 0), (SIZES.start() - 1, 0), (*SIZES.start(), 1), (100_000, 1), (longest, 1)] {
        let body = vec![b'x'; size];
        for (shared, asked) in [(lent(), asked), (Shared::default(), 0)] {
            assert_eq!(send(&shared, &body, &body), (vec!["accepted"], asked), "{size}");
        }
        let mut others = vec![[body.as_slice(), b"x"].concat()];
        if size > 0 {
            others.push(body[1..].to_vec());
            for changed in [0, size / 2, size - 1] {
                let mut other = body.clone();
                other[changed] ^= 1;
                others.push(other);
            }
        }
        for other in others.iter().filter(|other| other.len() <= longest) {
            let asked = u32::from(SIZES.contains(&other.len()));
            for (shared, asked) in [(lent(), asked), (Shared::default(), 0)] {
                let ended = send(&shared, &body, other);
                assert_eq!(ended, (vec!["payload_hash_mismatch"], asked), "{size} {}", other.len());
            }
        }
    }
}

/// A good function that fails later on costs time, not a verdict.
#[test]
fn what_envoy_does_not_confirm_the_sandbox_hashes() {
    let body = vec![b'x'; 50_000];
    let shared = lent();
    let protection = protection("", &shared);
    shared.lend(|_| None);
    for (sent, code) in [(&body[..], "accepted"), (&body[1..], "payload_hash_mismatch")] {
        let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(&body, code))]);
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        arrive(&envoy, &mut filter, sent, true);
        assert_eq!(envoy.counted(), [code]);
    }
}

/// A larger body than Envoy is asked about is hashed as it comes, from its first byte on.
#[test]
fn a_body_beyond_the_largest_is_hashed_as_it_comes() {
    let body: Vec<u8> = (0..SIZES.end() + 100_000).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
    for (sent, code) in [(body.clone(), "accepted"), (body[1..].to_vec(), "payload_hash_mismatch")] {
        let shared = lent();
        let protection = protection(r#""max_body_size": "4MiB""#, &shared);
        let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(&body, "one"))]);
        let mut filter = envoy.filter(&protection);
        let before = shared.verified();
        assert_eq!(filter.request_headers(false), Flow::Hold);
        for piece in [10, SIZES.end() - 1, *SIZES.end(), SIZES.end() + 1] {
            assert_eq!(arrive(&envoy, &mut filter, &sent[..piece], false), Flow::Hold);
        }
        arrive(&envoy, &mut filter, &sent, true);
        assert_eq!((envoy.counted(), shared.verified() - before), (vec![code], 0));
    }
}

/// Trailers end a body too, and nothing of it was read before.
#[test]
fn trailers_end_a_body_that_envoy_hashes() {
    let body = vec![b'x'; 50_000];
    for (sent, code) in [(&body[..], "accepted"), (&body[1..], "payload_hash_mismatch")] {
        let shared = lent();
        let protection = protection("", &shared);
        let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(&body, "one"))]);
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        assert_eq!(arrive(&envoy, &mut filter, sent, false), Flow::Hold);
        filter.request_trailers();
        assert_eq!(envoy.counted(), [code]);
    }
}
