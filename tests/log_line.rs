//! The line that a refusal leaves in the log: what decided it, and nothing that is secret or could break the line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // A test may stop.

use std::net::IpAddr;

use secure_callbacks::record::Circumstances;
use secure_callbacks::{
    Callback, CertificateState, Conclusion, Connection, Fingerprint, PolicyConfig, RequestHead, Step, TokenField,
    Verifier,
};
use secure_callbacks_support::Token;
use secure_callbacks_support::token::{API_KEY, APPLICATION_ID, SECRET};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const BODY: &[u8] = b"{\"event\":\"streamCreated\"}";

fn verifier(more: &str) -> Verifier {
    let account =
        format!(r#"{{"api_key":"{API_KEY}","secrets":["text:{SECRET}"],"applications":["{APPLICATION_ID}"]}}"#);
    let json = format!(r#"{{"accounts":[{account}]{more}}}"#);
    Verifier::new(PolicyConfig::from_json(&json).and_then(|config| config.resolve(&())).unwrap())
}

/// What a token comes to whose body is `body`, and ends at `end`.
fn conclude(verifier: &Verifier, token: &str, body: &[u8], end: i64, connection: &dyn Connection) -> Conclusion {
    let mut callback = Callback::default();
    let token = format!("Bearer {token}");
    let head = RequestHead { token: TokenField::Once(token.as_bytes()), content_length: None, line: None, connection };
    let mut step = callback.head(verifier, &head, NOW);
    if matches!(step, Step::Hold) {
        callback.body(verifier, body);
        step = callback.end_of_body(verifier, 1, end);
    }
    match step {
        Step::Conclude(conclusion) => conclusion,
        step => panic!("no verdict: {step:?}"),
    }
}

/// The line of a request whose client showed a certificate, which concerns nobody unless that was refused.
fn line(conclusion: &Conclusion, path: &[u8]) -> String {
    line_of(conclusion, Circumstances { path, ..KNOWN })
}

fn line_of(conclusion: &Conclusion, request: Circumstances<'_>) -> String {
    conclusion.log_line(request).unwrap().to_string()
}

/// All that a host may know of a request.
const KNOWN: Circumstances<'_> =
    Circumstances { policy: "video", source: "192.0.2.1", path: b"/", subject: b"CN=shown", now: NOW };

/// What stands behind the fields that every line has.
fn rest(line: &str) -> &str {
    line.split_once(" source=192.0.2.1").unwrap().1
}

fn valid() -> Token {
    Token::valid(BODY, NOW).claim("jti", "one")
}

#[test]
fn a_claim_that_decided_is_named() {
    let other = || json!("something-else");
    for (code, claim, value) in [
        ("claim_missing", "iat", None),
        ("claim_missing", "iss", None),
        ("claim_missing", "api_key", None),
        ("claim_missing", "application_id", None),
        ("claim_missing", "jti", None),
        ("claim_missing", "payload_hash", None),
        ("claim_malformed", "iat", Some(other())),
        ("claim_malformed", "iat", Some(json!(-1))),
        ("claim_malformed", "exp", Some(other())),
        ("claim_malformed", "nbf", Some(json!([1]))),
        ("claim_malformed", "iss", Some(json!(1))),
        ("claim_malformed", "api_key", Some(json!(1))),
        ("claim_malformed", "application_id", Some(json!(true))),
        ("claim_malformed", "jti", Some(json!({}))),
        ("claim_malformed", "jti", Some(json!("a b"))),
        ("claim_malformed", "payload_hash", Some(other())),
        ("issuer_mismatch", "iss", Some(other())),
        ("account_unknown", "api_key", Some(other())),
        ("payload_hash_mismatch", "payload_hash", Some(json!("00".repeat(32)))),
    ] {
        let token = match value {
            None => valid().without(claim),
            Some(value) => valid().claim(claim, value),
        };
        let conclusion = conclude(&verifier(""), &token.sign(), BODY, NOW, &());
        assert_eq!(conclusion.code.as_str(), code, "{claim}");
        let line = line(&conclusion, b"/callbacks/session/");
        assert_eq!(rest(&line), format!(" detail={claim} path=/callbacks/session/"), "{line}");
        assert!(!line.contains("something-else"), "{line}");
    }
}

#[test]
fn the_application_is_named_as_the_token_has_it() {
    let quoted = r#"app"lication"#;
    for (application, shown) in [
        ("another-application", "another-application"),
        (quoted, "app%22lication"),
        // It could break the line, so the identity does not have it.
        ("an application", "application_id"),
    ] {
        let token = valid().claim("application_id", application).sign();
        let conclusion = conclude(&verifier(""), &token, BODY, NOW, &());
        assert_eq!(conclusion.code.as_str(), "application_not_allowed");
        assert_eq!(rest(&line(&conclusion, b"")), format!(" detail={shown}"));
    }
}

#[test]
fn the_age_is_told_in_seconds_with_the_claim_that_set_the_limit() {
    for (claims, end, code, detail) in [
        (json!({ "iat": NOW - 301 }), NOW, "token_expired", "301 claim=iat"),
        (json!({ "iat": NOW - 40, "exp": NOW - 30 }), NOW, "token_expired", "40 claim=exp"),
        (json!({ "iat": NOW - 301, "exp": NOW + 900 }), NOW, "token_expired", "301 claim=iat"),
        (json!({ "iat": NOW + 31 }), NOW, "token_not_yet_valid", "-31 claim=iat"),
        (json!({ "iat": NOW - 5, "nbf": NOW + 31 }), NOW, "token_not_yet_valid", "5 claim=nbf"),
        // While its body was on the way.
        (json!({ "iat": NOW - 10 }), NOW + 291, "token_expired", "301 claim=iat"),
        (json!({ "iat": NOW - 10, "exp": NOW + 10 }), NOW + 50, "token_expired", "60 claim=exp"),
    ] {
        let Value::Object(members) = &claims else { panic!("no object") };
        let token = members.iter().fold(valid(), |token, (name, value)| token.claim(name, value.clone()));
        let conclusion = conclude(&verifier(""), &token.sign(), BODY, end, &());
        assert_eq!(conclusion.code.as_str(), code, "{claims}");
        assert_eq!(
            rest(&line_of(&conclusion, Circumstances { now: end, ..KNOWN })),
            format!(" detail={detail} path=/"),
            "{claims}"
        );
    }
}

/// A client whose certificate the proxy has validated, or not.
struct Client(CertificateState);

impl Connection for Client {
    fn source(&self) -> Option<IpAddr> {
        None
    }

    fn certificate(&self) -> CertificateState {
        self.0
    }

    fn subject(&self) -> Option<Vec<u8>> {
        None
    }

    fn dns_names(&self) -> Result<Vec<Vec<u8>>, secure_callbacks::NotGiven> {
        Ok(Vec::new())
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        None
    }
}

#[test]
fn the_subject_is_told_of_a_validated_certificate_that_is_refused() {
    let verifier = verifier(r#","client_certificate":{"dns_names":["a.b"]}"#);
    let name = r"CN=callbacks.example.com,O=TokBox\, Inc.";
    for (state, subject, detail) in [
        (CertificateState::Verified, name, r" detail=CN=callbacks.example.com,O=TokBox\,%20Inc."),
        (CertificateState::Verified, "CN=\"a\"\n\u{7f}\u{e9}", " detail=CN=%22a%22%0A%7F%C3%A9"),
        (CertificateState::Verified, "", ""),
        (CertificateState::Unverified, name, ""),
        (CertificateState::Missing, name, ""),
    ] {
        let conclusion = conclude(&verifier, "no.token.here", BODY, NOW, &Client(state));
        assert_eq!(conclusion.tells_subject(), state == CertificateState::Verified);
        assert_eq!(
            rest(&line_of(&conclusion, Circumstances { subject: subject.as_bytes(), path: b"", ..KNOWN })),
            detail,
            "{state:?}"
        );
    }
}

#[test]
fn the_path_can_not_break_the_line_and_shows_no_query() {
    let conclusion = conclude(&verifier(""), "no.token.here", BODY, NOW, &());
    for (path, shown) in [
        ("/callbacks/session/", "/callbacks/session/"),
        ("/a?secret=geheim", "/a"),
        ("/a#secret", "/a"),
        ("/a%20b", "/a%20b"),
        ("/a b\"c'd\r\ne\tf\u{7f}\u{fc}", "/a%20b%22c%27d%0D%0Ae%09f%7F%C3%BC"),
        ("*", "*"),
    ] {
        assert_eq!(rest(&line(&conclusion, path.as_bytes())), format!(" path={shown}"), "{path:?}");
    }
    for none in ["", "?secret=geheim"] {
        assert_eq!(rest(&line(&conclusion, none.as_bytes())), "", "{none:?}");
    }
    let long = line(&conclusion, &[b"/".as_slice(), &b"x".repeat(100_000)].concat());
    assert!(long.len() < 400 && long.ends_with("xxx..."), "{long}");
    let long = line(&conclusion, &b"\xff".repeat(100_000));
    assert!(long.len() < 800 && long.ends_with("%FF..."), "{long}");
}

#[test]
fn before_the_signature_is_good_no_value_of_the_token_s_is_told() {
    let mark = "a-value-of-the-token-s";
    let marked = || {
        let names = ["jti", "application_id", "iss", "payload_hash", "sub"];
        names.iter().fold(valid(), |token, name| token.claim(name, mark)).claim("iat", 12_345_678_901_i64)
    };
    for (token, rest_of_line) in [
        (marked().secret("another-secret"), ""),
        (marked().secret("another-secret").claim("api_key", mark), " detail=api_key"),
        (marked().secret("another-secret").without("api_key"), " detail=api_key"),
        (marked().secret("another-secret").claim("api_key", json!([mark])), " detail=api_key"),
    ] {
        let token = token.sign();
        let line = line(&conclude(&verifier(""), &token, BODY, NOW, &()), b"");
        assert_eq!(rest(&line), rest_of_line);
        assert!(line.contains(" api_key=- jti=- source="), "{line}");
        for secret in [mark, "12345678901", token.as_str(), SECRET] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn the_fields_of_old_stand_first_and_what_is_accepted_leaves_no_line() {
    let late = conclude(&verifier(""), &valid().claim("iat", NOW - 400).sign(), BODY, NOW, &());
    assert_eq!(
        line(&late, b"/callbacks/archive/?x=1"),
        "secure_callbacks: callback refused: policy=video code=token_expired api_key=a1b2c3d jti=one source=192.0.2.1 \
         detail=400 claim=iat path=/callbacks/archive/"
    );
    let reported = conclude(&verifier(r#","mode":"report""#), "no.token.here", BODY, NOW, &());
    let unknown = Circumstances { source: "", path: b"", subject: b"", ..KNOWN };
    assert_eq!(
        reported.log_line(unknown).unwrap().to_string(),
        "secure_callbacks: callback reported: policy=video code=token_malformed api_key=- jti=- source=-"
    );
    let good = conclude(&verifier(r#","replay":"off""#), &valid().sign(), BODY, NOW, &());
    assert!(good.log_line(unknown).is_none());
    assert_eq!(good.claim, None);
}
