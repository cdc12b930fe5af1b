//! What a policy asks of a connection: the source address, then the client's certificate, before anything else is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // A test may stop.

use std::cell::Cell;
use std::net::IpAddr;

use secure_callbacks::{
    CertificateState, Connection, Fingerprint, NotGiven, PolicyConfig, RequestHead, TokenField, Verifier,
};

const FINGERPRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A connection whose every answer is counted: what the policy does not ask for must cost nothing.
#[derive(Default)]
struct Client {
    source: Option<&'static str>,
    state: Option<CertificateState>,
    subject: Option<&'static str>,
    dns_names: &'static [&'static str],
    asked: Cell<u32>,
}

impl Client {
    fn asked(&self) {
        self.asked.set(self.asked.get() + 1);
    }
}

impl Connection for Client {
    fn source(&self) -> Option<IpAddr> {
        self.asked();
        self.source.map(|text| text.parse().unwrap())
    }

    fn certificate(&self) -> CertificateState {
        self.asked();
        self.state.unwrap_or(CertificateState::Missing)
    }

    fn subject(&self) -> Option<Vec<u8>> {
        self.asked();
        self.subject.map(Into::into)
    }

    fn dns_names(&self) -> Result<Vec<Vec<u8>>, NotGiven> {
        self.asked();
        match self.dns_names {
            NOT_GIVEN => Err(NotGiven),
            names => Ok(names.iter().map(|name| name.as_bytes().to_vec()).collect()),
        }
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        self.asked();
        let mut fingerprint = [0; 32];
        for (index, byte) in fingerprint.iter_mut().enumerate() {
            *byte = (index % 16 * 0x11) as u8;
        }
        Some(fingerprint)
    }
}

/// The code for a request without a token: `token_missing` if the connection passed.
fn code(rules: &str, client: &Client) -> &'static str {
    let json = format!(r#"{{"accounts":[{{"api_key":"k","secrets":["text:0123456789"]}}]{rules}}}"#);
    let policy = PolicyConfig::from_json(&json).unwrap().resolve(&()).unwrap();
    let head = RequestHead { token: TokenField::Absent, content_length: None, line: None, connection: client };
    Verifier::new(policy).start(&head, 0).unwrap_err().code().as_str()
}

/// The proxy has no certificate to read.
const NOT_GIVEN: &[&str] = &["not given"];

const PASSED: &str = "token_missing";

#[test]
fn nothing_is_asked_unless_the_policy_does() {
    let client = Client::default();
    assert_eq!(code("", &client), PASSED);
    assert_eq!(client.asked.get(), 0);
}

#[test]
fn the_source_comes_first() {
    let rules = r#","source_addresses":["216.147.0.0/18"],"client_certificate":{"dns_names":["a.b"]}"#;
    for (source, expected) in [
        (None, "source_not_allowed"),
        (Some("192.0.2.1"), "source_not_allowed"),
        (Some("216.147.3.4"), "client_certificate_missing"),
        (Some("::ffff:216.147.3.4"), "client_certificate_missing"),
    ] {
        assert_eq!(code(rules, &Client { source, ..Client::default() }), expected, "{source:?}");
    }
}

#[test]
fn only_a_validated_certificate_counts() {
    let rules = r#","client_certificate":{"dns_names":["callbacks.opentok.com"]}"#;
    for (state, expected) in [
        (CertificateState::Missing, "client_certificate_missing"),
        (CertificateState::Unverified, "client_certificate_unverified"),
        (CertificateState::Verified, PASSED),
    ] {
        let client = Client { state: Some(state), dns_names: &["callbacks.opentok.com"], ..Client::default() };
        assert_eq!(code(rules, &client), expected, "{state:?}");
    }
}

#[test]
fn every_kind_that_is_given_must_be_met_by_one_of_its_entries() {
    let other = FINGERPRINT.replace("00", "01");
    for (rules, met) in [
        (r#""subjects":["CN=other","CN=callbacks.opentok.com, O=\"TokBox, Inc.\""]"#.to_owned(), true),
        (r#""subjects":["CN=callbacks.opentok.com"]"#.to_owned(), false),
        (r#""dns_names":["other.com","*.opentok.com"]"#.to_owned(), true),
        (r#""dns_names":["other.com"]"#.to_owned(), false),
        // The subject's CN is no DNS name.
        (r#""dns_names":["*.example.com"]"#.to_owned(), false),
        (format!(r#""sha256_fingerprints":["{other}","{}"]"#, FINGERPRINT.to_uppercase()), true),
        (format!(r#""sha256_fingerprints":["{other}"]"#), false),
        (format!(r#""dns_names":["*.opentok.com"],"sha256_fingerprints":["{FINGERPRINT}"]"#), true),
        (format!(r#""dns_names":["*.opentok.com"],"sha256_fingerprints":["{other}"]"#), false),
        (format!(r#""dns_names":["other.com"],"sha256_fingerprints":["{FINGERPRINT}"]"#), false),
        (r#""dns_names":["*.opentok.com"],"subjects":["CN=other"]"#.to_owned(), false),
    ] {
        let client = Client {
            state: Some(CertificateState::Verified),
            subject: Some(r"CN=callbacks.opentok.com,O=TokBox\, Inc."),
            dns_names: &["first.example.org", "callbacks.opentok.com"],
            ..Client::default()
        };
        let expected = if met { PASSED } else { "client_certificate_mismatch" };
        assert_eq!(code(&format!(r#","client_certificate":{{{rules}}}"#), &client), expected, "{rules}");
    }
}

#[test]
fn a_certificate_that_can_not_be_read_is_none_of_the_named() {
    let client = Client { state: Some(CertificateState::Verified), subject: None, ..Client::default() };
    assert_eq!(code(r#","client_certificate":{"subjects":["CN=a"]}"#, &client), "client_certificate_mismatch");
    assert_eq!(code(r#","client_certificate":{"dns_names":["a.b"]}"#, &client), "client_certificate_mismatch");
    let client = Client { state: Some(CertificateState::Verified), subject: Some("CN=a,"), ..Client::default() };
    assert_eq!(code(r#","client_certificate":{"subjects":["CN=a"]}"#, &client), "client_certificate_mismatch");
}

#[test]
fn a_certificate_that_the_proxy_does_not_give_is_no_fault_of_the_callers() {
    let client = Client { state: Some(CertificateState::Verified), dns_names: NOT_GIVEN, ..Client::default() };
    assert_eq!(code(r#","client_certificate":{"dns_names":["a.b"]}"#, &client), "proxy_failed");
    // What is refused anyway is refused.
    let rules = r#","client_certificate":{"dns_names":["a.b"],"subjects":["CN=a"]}"#;
    assert_eq!(code(rules, &client), "client_certificate_mismatch");
}
