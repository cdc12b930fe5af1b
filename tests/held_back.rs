//! A body that is held back: the token must be good at its end too, so that no callback outlives what is remembered of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may stop")]

use secure_callbacks::{Pending, Rejection};
use secure_callbacks_support::site::{NOW, Site, bearer, head};
use secure_callbacks_support::{Token, policy};
use serde_json::{Value, json};

const BODY: &[u8] = b"{}";

/// The policy's further rules, what the token says otherwise, and for how many seconds the callback is good.
type Case = (Value, fn(Token) -> Token, i64);

/// A callback whose head came at `NOW`.
fn started(rules: Value, token: impl FnOnce(Token) -> Token) -> Pending {
    let site = Site::new(&policy(rules).to_string());
    let mut pending = site.start(&head(&bearer(&token(Token::valid(BODY, NOW))), None)).unwrap();
    pending.body(BODY).unwrap();
    pending
}

#[test]
fn a_token_is_as_old_as_it_is_at_the_end_of_the_body() {
    let plain = |token: Token| token;
    let early = |token: Token| token.claim("iat", NOW + 30);
    let late = |token: Token| token.claim("iat", NOW - 300);
    let ends = |token: Token| token.claim("exp", NOW + 60);
    let cases: [Case; 6] = [
        (json!({}), plain, 300),
        (json!({ "replay": "off" }), plain, 300),
        (json!({ "max_age": "10s", "leeway": "0s" }), plain, 10),
        // As far in the future as may be: good for just as long as what was accepted at once is remembered.
        (json!({}), early, 330),
        (json!({}), late, 0),
        // `exp` has its leeway, and is not itself part of the time before it.
        (json!({}), ends, 89),
    ];
    for (rules, token, seconds) in cases {
        let end = |now| started(rules.clone(), token).end(now).map(drop).map_err(|refused| refused.rejection);
        assert_eq!(end(NOW + seconds), Ok(()), "{rules}");
        assert_eq!(end(NOW + seconds + 1), Err(Rejection::TokenExpired), "{rules}");
    }
}

#[test]
fn another_body_is_told_first() {
    let mut pending = started(json!({}), |token| token);
    pending.body(b"more").unwrap();
    assert_eq!(pending.end(NOW + 1000).map(drop).unwrap_err().rejection, Rejection::PayloadHashMismatch);
}
