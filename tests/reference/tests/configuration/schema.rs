//! `docs/policy.schema.json` against the reader: the schema refuses nothing that is good, and most of what is bad.

use jsonschema::Validator;
use secure_callbacks::policy::PolicyConfig;
use serde_json::{Value, json};

use crate::{fields, with};

pub(crate) fn text() -> Value {
    serde_json::from_str(include_str!("../../../../docs/policy.schema.json")).expect("the schema is JSON")
}

pub(crate) fn validator() -> Validator {
    jsonschema::validator_for(&text()).expect("the schema is a schema")
}

#[test]
fn it_names_every_field_and_no_other() {
    let schema = text();
    let mut named: Vec<_> = schema["properties"].as_object().expect("properties").keys().cloned().collect();
    let mut known = fields();
    named.sort();
    known.sort();
    assert_eq!(named, known);
}

#[test]
fn it_takes_every_policy_of_the_vectors() {
    let schema = validator();
    for (name, policy) in secure_callbacks_support::load().expect("the vectors").policies {
        if let Err(error) = schema.validate(&policy) {
            panic!("{name}: {error}");
        }
    }
}

/// The reader's judgement of each value, and the schema's, are the same.
#[test]
fn it_judges_values_as_the_reader_does() {
    let fingerprint = "AB:".repeat(31) + "cd";
    let good = [
        ("name", json!("video-2_b")),
        ("mode", json!("report")),
        ("token_header", json!("X-Vonage-Webhook-Auth-Token")),
        ("issuer", json!("Example Issuer")),
        ("max_age", json!("24h")),
        ("leeway", json!("0s")),
        ("payload", json!("body")),
        ("payload", json!("query")),
        ("payload_hash", json!("when_present")),
        ("max_body_size", json!(65536)),
        ("max_body_size", json!("64KiB")),
        ("max_body_size", json!("1m")),
        ("max_body_size", json!("1GiB")),
        ("max_body_size", json!("1g")),
        ("max_body_size", json!("1G")),
        ("max_body_size", json!("512")),
        ("replay", json!(false)),
        ("replay", json!("off")),
        ("replay_capacity", json!(1)),
        ("replay_capacity", json!("16777216")),
        ("missing_token_status", json!(503)),
        ("missing_token_status", json!(401.0)),
        ("missing_token_status", json!("401")),
        ("expose_reason", json!("on")),
        ("realm", json!("video hooks; #2")),
        ("client_certificate", json!({ "dns_names": ["*.opentok.com", "a"], "subjects": ["CN=a,O=b"] })),
        ("client_certificate", json!({ "sha256_fingerprints": [fingerprint, "0".repeat(64)] })),
        ("source_addresses", json!(["216.147.0.0/18", "::1", "2001:db8::/32", "::ffff:192.0.2.0/120"])),
        ("accounts", json!([{ "api_key": "k", "secrets": ["text:abcd", "file:/x"], "applications": ["a"] }])),
    ];
    let bad = [
        ("name", json!("")),
        ("name", json!("a.b")),
        ("name", json!(5)),
        ("mode", json!("audit")),
        ("token_header", json!("")),
        ("token_header", json!("a b")),
        ("token_header", json!("Host")),
        ("token_header", json!("Transfer-Encoding")),
        ("token_header", json!("X-Callback-Jti")),
        ("token_header", json!("x-ssl-client-subject-dn")),
        ("issuer", json!("")),
        ("max_age", json!(300)),
        ("max_age", json!("5 minutes")),
        ("leeway", json!(true)),
        ("leeway", json!("-5s")),
        ("payload", json!("Query")),
        ("payload", json!("")),
        ("payload", json!(true)),
        ("payload_hash", json!("optional")),
        ("max_body_size", json!(0)),
        ("max_body_size", json!("0k")),
        ("max_body_size", json!("0GiB")),
        ("max_body_size", json!("1GB")),
        ("replay", json!("yes")),
        ("replay", json!(1)),
        ("replay_capacity", json!(0)),
        ("replay_capacity", json!(1.5)),
        ("replay_capacity", json!(16_777_217)),
        ("replay_capacity", json!("many")),
        ("missing_token_status", json!(500)),
        ("expose_reason", json!("true")),
        ("realm", json!("a\"b")),
        ("client_certificate", json!({})),
        ("client_certificate", json!(true)),
        ("client_certificate", json!({ "dns_name": ["a.b"] })),
        ("client_certificate", json!({ "dns_names": [] })),
        ("client_certificate", json!({ "dns_names": ["*.com"] })),
        ("client_certificate", json!({ "dns_names": ["a.*.example.com"] })),
        ("client_certificate", json!({ "subjects": ["callbacks.opentok.com"] })),
        ("client_certificate", json!({ "sha256_fingerprints": ["00"] })),
        ("source_addresses", json!([])),
        ("source_addresses", json!("10.0.0.0/8")),
        ("source_addresses", json!(["callbacks.opentok.com"])),
        ("accounts", json!([])),
        ("accounts", json!({})),
        ("accounts", json!(null)),
        ("accounts", json!([{ "api_key": "k" }])),
        ("accounts", json!([{ "api_key": "", "secrets": ["env:A"] }])),
        ("accounts", json!([{ "api_key": "k", "secrets": [] }])),
        ("accounts", json!([{ "api_key": "k", "secrets": ["plain"] }])),
        ("accounts", json!([{ "api_key": "k", "secrets": ["env:A"], "colour": "red" }])),
        ("max_agee", json!("5m")),
    ];
    let schema = validator();
    for (values, expected) in [(good.as_slice(), true), (bad.as_slice(), false)] {
        for (name, value) in values {
            let policy = with(name, value.clone());
            assert_eq!(PolicyConfig::from_value(policy.clone()).is_ok(), expected, "the reader: {name}: {value}");
            assert_eq!(schema.is_valid(&policy), expected, "the schema: {name}: {value}");
        }
    }
}

/// What a schema can't say. It takes these, and the reader does not.
#[test]
fn what_only_the_reader_refuses() {
    let account = json!({ "api_key": "k", "secrets": ["env:SECRET"] });
    for (name, value) in [
        ("accounts", json!([account, account])),
        ("accounts", json!([{ "api_key": "k", "secrets": ["text:abc"] }])),
        ("max_age", json!("400000h")),
        ("max_body_size", json!("4096MiB")),
        ("max_body_size", json!("2g")),
        ("replay_capacity", json!("0")),
        ("source_addresses", json!(["10.0.0.0/33"])),
    ] {
        let policy = with(name, value.clone());
        assert!(PolicyConfig::from_value(policy.clone()).is_err(), "the reader: {name}: {value}");
        assert!(validator().is_valid(&policy), "the schema can say it: move {name}: {value} to the others");
    }
}
