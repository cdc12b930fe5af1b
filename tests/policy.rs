//! Policies: what is refused, with the field and the problem; what both forms of writing give.
#![allow(missing_docs)]

use secure_callbacks::policy::Line;
use secure_callbacks::{Policy, PolicyConfig, PolicyError, SecretProblem, SecretSource};

struct Secrets;

impl SecretSource for Secrets {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        match name {
            "GOOD" => Ok(b"0123456789abcdef0123456789abcdef".to_vec()),
            "SHORT" => Ok(b"12345678".to_vec()),
            _ => Err(SecretProblem::VariableNotSet),
        }
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, SecretProblem> {
        match path {
            "/newline" => Ok(b"abcd\n".to_vec()),
            "/tiny" => Ok(b"abc\n".to_vec()),
            _ => Err(SecretProblem::FileUnreadable("No such file or directory".into())),
        }
    }
}

fn policy(json: &str) -> Result<Policy, PolicyError> {
    PolicyConfig::from_json(json)?.resolve(&Secrets)
}

/// A policy with one more field beside a good account.
fn with(field: &str) -> Result<Policy, PolicyError> {
    policy(&format!(r#"{{"accounts":[{{"api_key":"k","secrets":["env:GOOD"]}}],{field}}}"#))
}

#[test]
fn defaults_are_the_design_s() {
    let policy = policy(r#"{"accounts":[{"api_key":"k","secrets":["env:SHORT"]}]}"#).unwrap();
    assert_eq!(policy.name(), "default");
    assert_eq!(policy.token_header(), "authorization");
    assert_eq!(policy.max_body_size(), 1 << 20);
    assert!(policy.replay());
    assert_eq!((policy.replay_capacity(), policy.replay_memory()), (65_536, 330));
    assert!(!policy.asks_for_certificate());
}

#[test]
fn bad_entries_are_refused_by_place_and_problem() {
    for (field, place, problem) in [
        (r#""max_agee":"300s""#, "max_agee", "unknown field, did you mean `max_age`?"),
        (r#""colour":"red""#, "colour", "unknown field"),
        (r#""S3cret-Value":1"#, "", "unknown field (its name is not shown, it may be a secret)"),
        (r#""Mode":"report""#, "", "did you mean `mode`?"),
        (r#""max_age":300"#, "max_age", "duration"),
        (r#""max_age":"5 minutes""#, "max_age", "duration"),
        (r#""max_age":"400000h""#, "max_age", "out of range"),
        (r#""leeway":true"#, "leeway", "text"),
        (r#""max_body_size":"1GB""#, "max_body_size", "size"),
        (r#""max_body_size":0"#, "max_body_size", "out of range"),
        (r#""max_body_size":-1"#, "max_body_size", "size"),
        (r#""mode":"enforced""#, "mode", "`enforce`, `report`"),
        (r#""payload":"parameters""#, "payload", "`body`, `query`"),
        (r#""payload_hash":"optional""#, "payload_hash", "`required`, `when_present`, `ignored`"),
        (r#""replay":"yes""#, "replay", "`on`, `off`"),
        (r#""replay":1"#, "replay", "`on`, `off`"),
        (r#""replay_capacity":0"#, "replay_capacity", "out of range"),
        (r#""replay_capacity":1.5"#, "replay_capacity", "whole number"),
        (r#""replay_capacity":"many""#, "replay_capacity", "whole number"),
        (r#""replay_capacity":99999999999999999999"#, "replay_capacity", "whole number"),
        (r#""missing_token_status":500"#, "missing_token_status", "`401`, `503`"),
        (r#""expose_reason":"true""#, "expose_reason", "`on`, `off`"),
        (r#""token_header":"""#, "token_header", "empty"),
        (r#""token_header":"a b""#, "token_header", "characters"),
        (r#""token_header":"X-Callback-Jti""#, "token_header", "can't hold"),
        (r#""token_header":"Host""#, "token_header", "can't hold"),
        (r#""issuer":"""#, "issuer", "empty"),
        (r#""realm":"a\"b""#, "realm", "characters"),
        (r#""name":"a.b""#, "name", "letters"),
        (r#""name":5"#, "name", "expected text: quote it"),
        (r#""name":true"#, "name", "expected text"),
        // What is wrong first is told, whatever else is.
        (r#""max_age":"soon","mode":"audit","colour":"red""#, "mode", "`enforce`, `report`"),
        (r#""mode":"report","mode":"enforce""#, "mode", "more than once"),
        (r#""S3cret":1,"S3cret":2"#, "", "each name of an object once"),
    ] {
        let error = with(field).expect_err(field);
        assert_eq!(error.field, place, "{field}");
        assert!(error.to_string().contains(problem), "{field}: {error}");
    }
}

#[test]
fn bad_accounts_are_refused_by_place_and_problem() {
    for (json, text) in [
        ("", "not a JSON object (line 1, column 0)"),
        ("[]", "expected an object"),
        ("{}", "accounts: required, but missing"),
        (r#"{"accounts":[]}"#, "accounts: must not be empty"),
        (r#"{"accounts":{}}"#, "accounts: expected a list"),
        (r#"{"accounts":["k"]}"#, "accounts[0]: expected an object"),
        (r#"{"accounts":[{"secrets":["env:GOOD"]}]}"#, "accounts[0].api_key: required, but missing"),
        (r#"{"accounts":[{"api_key":"","secrets":["env:GOOD"]}]}"#, "accounts[0].api_key: must not be empty"),
        (
            r#"{"accounts":[{"api_key":12345678,"secrets":["env:GOOD"]}]}"#,
            "accounts[0].api_key: expected text: quote it",
        ),
        (
            r#"{"accounts":[{"api_key":"k","secrets":["env:GOOD",1234]}]}"#,
            "accounts[0].secrets[1]: expected text: quote it",
        ),
        (
            r#"{"accounts":[{"api_key":"k","secrets":["env:GOOD"],"applications":[1.5]}]}"#,
            "accounts[0].applications[0]: expected text: quote it",
        ),
        (r#"{"accounts":[{"api_key":"k"}]}"#, "accounts[0].secrets: required, but missing"),
        (r#"{"accounts":[{"api_key":"k","secrets":[]}]}"#, "accounts[0].secrets: must not be empty"),
        (r#"{"accounts":[{"api_key":"k","secrets":"env:GOOD"}]}"#, "accounts[0].secrets: expected a list"),
        (r#"{"accounts":[{"api_key":"k","secrets":["env:GOOD"],"apps":[]}]}"#, "accounts[0].apps: unknown field"),
        (
            r#"{"accounts":[{"api_key":"k","secrets":["env:GOOD"],"applications":[]}]}"#,
            "accounts[0].applications: must not",
        ),
        (
            r#"{"accounts":[{"api_key":"k","secrets":["env:NONE"]}]}"#,
            "accounts[0].secrets[0]: the environment variable is",
        ),
        (
            r#"{"accounts":[{"api_key":"k","secrets":["env:GOOD","file:/none"]}]}"#,
            "accounts[0].secrets[1]: the file can't",
        ),
        (r#"{"accounts":[{"api_key":"k","secrets":["file:/tiny"]}]}"#, "accounts[0].secrets[0]: the secret has fewer"),
        (
            r#"{"accounts":[{"api_key":"k","secrets":["env:GOOD"]},{"api_key":"k","secrets":["env:GOOD"]}]}"#,
            "accounts[1].api_key: another account",
        ),
    ] {
        let error = policy(json).expect_err(json).to_string();
        assert!(error.starts_with(text), "{json}: {error}");
    }
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let secret = "sUp3rS3cr3tV4lue";
    for json in [
        format!(r#"{{"accounts":[{{"api_key":"k","secrets":["{secret}"]}}]}}"#),
        format!(r#"{{"accounts":[{{"api_key":"k","secrets":["text{secret}"]}}]}}"#),
        format!(r#"{{"accounts":[{{"api_key":"k","secrets":["env:{secret}"]}}]}}"#),
        format!(r#"{{"accounts":[{{"api_key":"k","secrets":["file:{secret}"]}}]}}"#),
        format!(r#"{{"accounts":[{{"api_key":"k","secrets":["env:GOOD"],"{secret}":1}}]}}"#),
        format!(r#"{{"{secret}":1,"{secret}":2}}"#),
    ] {
        let error = policy(&json).unwrap_err();
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
    }
    let good = format!(r#"{{"accounts":[{{"api_key":"k","secrets":["text:{secret}"]}}]}}"#);
    let config = PolicyConfig::from_json(&good).unwrap();
    assert!(!format!("{config:?}").contains(secret));
    assert!(!format!("{:?}", config.resolve(&Secrets).unwrap()).contains(secret));
    let line = Line { name: "account".into(), values: vec!["k".into(), secret.into()] };
    assert!(!PolicyConfig::from_lines("p", &[line]).unwrap_err().to_string().contains(secret));
}

#[test]
fn words_for_flags_and_numbers_are_read_in_both_forms() {
    for field in [r#""replay":"off""#, r#""replay":false"#] {
        assert!(!with(field).unwrap().replay(), "{field}");
    }
    for field in [r#""replay_capacity":10"#, r#""replay_capacity":10.0"#, r#""replay_capacity":"10""#] {
        assert_eq!(with(field).unwrap().replay_capacity(), 10, "{field}");
    }
    for field in [r#""max_body_size":"64k""#, r#""max_body_size":"64KiB""#, r#""max_body_size":65536"#] {
        assert_eq!(with(field).unwrap().max_body_size(), 65_536, "{field}");
    }
    assert_eq!(
        with(r#""token_header":"X-Vonage-Webhook-Auth-Token""#).unwrap().token_header(),
        "x-vonage-webhook-auth-token"
    );
}

fn lines(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().map(String::from);
        Some(Line { name: words.next()?, values: words.collect() })
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn lines_are_read_by_the_same_reader() {
    let text = "account k secret=env:GOOD secret=\"file:/newline\" application=app\n mode report\n max_age 5m\n leeway 10s\n replay off";
    let policy = PolicyConfig::from_lines("video", &lines(text)).unwrap().resolve(&Secrets).unwrap();
    assert_eq!((policy.name(), policy.replay(), policy.replay_memory()), ("video", false, 310));
    for (text, error) in [
        ("mode report", "accounts: required, but missing"),
        ("account", "accounts[0].api_key: required, but missing"),
        ("account k", "accounts[0].secrets: required, but missing"),
        ("account k secret=env:GOOD\naccount k secret=env:GOOD", "accounts[1].api_key: another account"),
        ("account k secret=env:GOOD secrt=env:GOOD", "accounts[0].secrt: unknown field, did you mean `secret`?"),
        ("acount k secret=env:GOOD", "acount: unknown field, did you mean `account`?"),
        ("account k secret=env:GOOD\nSECRET", "lines[1]: unknown field (its name is not shown"),
        ("account k secret=env:GOOD\nSECRET a b", "lines[1]: unknown field (its name is not shown"),
        ("account k abcdef=", "accounts[0]: expected `part=value`"),
        ("account k abcdef==", "accounts[0]: expected `part=value`"),
        ("account k S3cret=x", "accounts[0]: unknown field (its name is not shown"),
        ("account k secret:x=y", "accounts[0]: unknown field (its name is not shown"),
        ("account api_key=k secret=env:GOOD", "accounts[0].api_key: write the key itself: `account KEY secret=…`"),
        ("account apikey=k secret=env:GOOD", "accounts[0].api_key: write the key itself"),
        ("account secret=env:GOOD secret=env:SHORT", "accounts[0].api_key: write the key itself"),
        ("account k secrets=env:GOOD", "accounts[0].secrets: unknown field, did you mean `secret`?"),
        (
            "account k secret=env:GOOD applications=a",
            "accounts[0].applications: unknown field, did you mean `application`?",
        ),
        (
            "account k secret=env:GOOD\nclient_certificate dns_names=a.b",
            "client_certificate.dns_names: unknown field, did you mean `dns_name`?",
        ),
        (
            "account k secret=env:GOOD\nclient_certificate subjects=CN=a",
            "client_certificate.subjects: unknown field, did you mean `subject`?",
        ),
        (
            "account k secret=env:GOOD\nclient_certificate sha256_fingerprints=00",
            "client_certificate: unknown field (its name is not shown, it may be a secret), did you mean \
             `sha256_fingerprint`?",
        ),
        ("account k secret=env:GOOD\nsource_addresses ::1", "source_addresses: unknown field, did you mean"),
        ("account k secret=env:GOOD\nmode report\nmode report", "mode: given more than once"),
        ("account k secret=env:GOOD\nmode", "mode: expected exactly one value"),
        ("account k secret=env:GOOD\nmax_agee 5m", "max_agee: unknown field"),
        ("account k secret=env:GOOD\naccounts x", "accounts: unknown field"),
        ("account k secret=env:GOOD\nname x", "name: unknown field"),
        ("account k secret=env:GOOD\nmax_body_size 2g", "max_body_size: out of range"),
    ] {
        let got =
            PolicyConfig::from_lines("video", &lines(text)).and_then(|config| config.resolve(&Secrets)).unwrap_err();
        assert!(got.to_string().starts_with(error), "{text}: {got}");
    }
}

#[test]
fn certificates_and_sources_are_refused_by_place_and_problem() {
    for (field, place) in [
        (r#""client_certificate":{}"#, "client_certificate"),
        (r#""client_certificate":true"#, "client_certificate"),
        (r#""client_certificate":{"dns_name":["a.b"]}"#, "client_certificate.dns_name"),
        (r#""client_certificate":{"dns_names":[]}"#, "client_certificate.dns_names"),
        (r#""client_certificate":{"dns_names":["a.b","*.com"]}"#, "client_certificate.dns_names[1]"),
        (r#""client_certificate":{"subjects":["callbacks.opentok.com"]}"#, "client_certificate.subjects[0]"),
        (r#""client_certificate":{"sha256_fingerprints":["00"]}"#, "client_certificate.sha256_fingerprints[0]"),
        (r#""source_addresses":[]"#, "source_addresses"),
        (r#""source_addresses":"10.0.0.0/8""#, "source_addresses"),
        (r#""source_addresses":["10.0.0.0/8","vonage.com"]"#, "source_addresses[1]"),
    ] {
        assert_eq!(with(field).expect_err(field).field, place, "{field}");
    }
    assert!(
        with(r#""client_certificate":{"dns_names":["*.opentok.com"]},"source_addresses":["216.147.0.0/18"]"#).is_ok()
    );
    let text = "account k secret=env:GOOD
 client_certificate dns_name=*.opentok.com
 client_certificate subject=CN=a
 source_address 10.0.0.0/8 ::1
 source_address 127.0.0.1";
    assert!(PolicyConfig::from_lines("video", &lines(text)).is_ok());
    let text = "account k secret=env:GOOD\nclient_certificate";
    assert_eq!(PolicyConfig::from_lines("video", &lines(text)).unwrap_err().field, "client_certificate");
}
