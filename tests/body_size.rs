//! How much body is taken: to the byte, whether its length is known beforehand or only as it comes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may stop")]

use secure_callbacks::{Pending, PolicyConfig, Rejection, RequestHead, TokenField, Verdict, Verifier};
use secure_callbacks_support::{Token, token};

const NOW: i64 = 1_700_000_000;
const MOST: u64 = 10;

/// A callback whose head is good, with this length announced.
fn started(body: &[u8], content_length: Option<u64>) -> Result<Pending, Rejection> {
    let policy = format!(
        r#"{{"accounts":[{{"api_key":"{}","secrets":["text:{}"]}}],"max_body_size":{MOST}}}"#,
        token::API_KEY,
        token::SECRET
    );
    let verifier = Verifier::new(PolicyConfig::from_json(&policy).unwrap().resolve(&()).unwrap());
    let token = format!("Bearer {}", Token::valid(body, NOW).sign());
    let head = RequestHead { token: TokenField::Once(token.as_bytes()), content_length, connection: &() };
    verifier.start(&head, NOW).map_err(|verdict| match verdict {
        Verdict::Reject(refused) => refused.rejection,
        other => unreachable!("{other:?}"),
    })
}

/// Whether a length is taken, or why not.
type Taken = Result<(), Rejection>;

const LENGTHS: [(u64, Taken); 5] = [
    (0, Ok(())),
    (MOST - 1, Ok(())),
    (MOST, Ok(())),
    (MOST + 1, Err(Rejection::BodyTooLarge)),
    (u64::MAX, Err(Rejection::BodyTooLarge)),
];

#[test]
fn a_declared_length() {
    for (length, expected) in LENGTHS {
        assert_eq!(started(b"", Some(length)).map(drop), expected, "{length}");
    }
}

#[test]
fn a_length_that_the_host_knows_ahead() {
    for (length, expected) in LENGTHS {
        let pending = started(b"", None).unwrap();
        assert_eq!(pending.check_length(length).map_err(|refused| refused.rejection), expected, "{length}");
    }
}

#[test]
fn what_was_taken_counts() {
    let mut pending = started(b"0123456789", None).unwrap();
    for (chunk, left) in [(b"0123".as_slice(), 6), (b"", 6), (b"45678", 1), (b"9", 0)] {
        pending.body(chunk).unwrap();
        assert!(pending.check_length(left).is_ok(), "{left} left");
        for more in [left + 1, u64::MAX] {
            let refused = pending.check_length(more).unwrap_err();
            assert_eq!(refused.rejection, Rejection::BodyTooLarge, "{more} of {left}");
            assert!(refused.identity.is_some(), "the signature was good");
        }
    }
    assert!(pending.end(NOW).is_ok(), "the whole of it was hashed");
}

#[test]
fn chunks() {
    let body = [b'x'; 12];
    for size in [9, 10, 11] {
        for piece in [1, 3, 9, 10, 12] {
            let mut pending = started(&body[..size], None).unwrap();
            let mut taken = Ok(());
            for chunk in body[..size].chunks(piece) {
                taken = taken.and_then(|()| pending.body(chunk).map_err(|refused| refused.rejection));
            }
            let expected = if size <= 10 { Ok(()) } else { Err(Rejection::BodyTooLarge) };
            assert_eq!(taken, expected, "{size} bytes by {piece}");
            if taken.is_ok() {
                assert!(pending.end(NOW).is_ok(), "{size} bytes by {piece}");
            }
        }
    }
}
