//! SHA-256 by Envoy: the key that changes nothing, and which bodies are hashed where.

use secure_callbacks_envoy::filter::Flow;
use secure_callbacks_envoy::native_hash::{NativeHash, PUBLIC_KEY, SIZES};

use super::fake::{FakeEnvoy, Shared, bearer, protection};
use super::filter::arrive;

/// The modulus in `PUBLIC_KEY`.
const MODULUS: std::ops::Range<usize> = 29..157;
/// The exponent, which `PUBLIC_KEY` ends with.
const EXPONENT: u64 = 1_663_201;

/// An Envoy without the function.
fn without() -> Shared {
    let shared = Shared::default();
    shared.lend(|_| None);
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
    assert!(NativeHash::probe(&Shared::default()).is_some());
    assert!(NativeHash::probe(&without()).is_none(), "there is no such function");
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
        for (shared, asked) in [(Shared::default(), asked), (without(), 0)] {
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
            for (shared, asked) in [(Shared::default(), asked), (without(), 0)] {
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
    let shared = Shared::default();
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
        let shared = Shared::default();
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
        let shared = Shared::default();
        let protection = protection("", &shared);
        let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(&body, "one"))]);
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        assert_eq!(arrive(&envoy, &mut filter, sent, false), Flow::Hold);
        filter.request_trailers();
        assert_eq!(envoy.counted(), [code]);
    }
}

/// Its length is looked at by itself: no hashing counts it.
#[test]
fn a_body_over_the_limit_is_refused_whoever_would_hash_it() {
    let body = vec![b'x'; 100_001];
    for shared in [Shared::default(), without()] {
        for end_of_stream in [false, true] {
            let protection = protection(r#""max_body_size": 100000"#, &shared);
            let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(&body, "one"))]);
            let mut filter = envoy.filter(&protection);
            assert_eq!(filter.request_headers(false), Flow::Hold);
            assert_eq!(arrive(&envoy, &mut filter, &body, end_of_stream), Flow::Hold);
            assert_eq!((envoy.counted(), envoy.replies()), (vec!["body_too_large"], vec![413]));
        }
    }
}

/// Bytes beyond those that were asked for are none of the body, and could pass for more of the question.
#[test]
fn a_host_that_returns_more_than_was_asked_for_is_not_believed() {
    let signed = vec![b'x'; 20_000];
    for shared in [Shared::default(), without()] {
        let protection = protection("", &shared);
        let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(&signed, "one"))]);
        envoy.0.body_surplus.set(1);
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        *envoy.0.body.borrow_mut() = [signed.as_slice(), b"more"].concat();
        assert_eq!(filter.request_body(signed.len(), true), Flow::Hold);
        assert_eq!(envoy.replies(), [503]);
    }
}
