//! The two forms of a plugin's configuration, and what is wrong with a bad one.

use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use secure_callbacks::SecretSource;
use secure_callbacks_envoy::configuration::read;
use secure_callbacks_envoy_wasm::configuration::{SandboxSecrets, configure, warnings_to_tell};

use super::fake::{FakeEnvoy, Known, NOW, Shared};

const GOOD: &str = r#"{"name": "video", "accounts": [{"api_key": "a1b2c3d", "secrets": ["env:SECRET"]}]}"#;

/// A JSON value as Envoy serializes a `Struct`'s.
fn proto(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(proto).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.iter().map(|(name, value)| (name.clone(), proto(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

fn as_struct(json: &str) -> Vec<u8> {
    match proto(&serde_json::from_str(json).unwrap()).kind {
        Some(Kind::StructValue(fields)) => fields.encode_to_vec(),
        _ => panic!("no object"),
    }
}

fn error(configuration: &[u8]) -> String {
    configure::<FakeEnvoy>(configuration, &Known, &Shared::default(), NOW).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn both_forms_are_read() {
    for text in [GOOD.to_owned(), format!("\n  {GOOD}\n"), format!("\n{{\n{}", &GOOD[1..])] {
        assert!(read(text.as_bytes()).is_ok(), "{text}");
    }
    assert!(read(&as_struct(GOOD)).is_ok());
}

#[test]
fn a_struct_that_looks_like_text_is_a_struct() {
    // A first entry of 123 bytes starts with a line feed and a brace.
    let mut looked_like_text = 0;
    for length in 1..200 {
        let api_key = "a".repeat(length);
        let bytes = as_struct(&format!(r#"{{"accounts": [{{"api_key": "{api_key}", "secrets": ["env:SECRET"]}}]}}"#));
        looked_like_text += u32::from(bytes.starts_with(b"\n{"));
        assert_eq!(read(&bytes).map(|_| ()).map_err(|error| error.to_string()), Ok(()), "{length} {bytes:?}");
    }
    assert_eq!(looked_like_text, 1);
}

#[test]
fn a_struct_has_whole_numbers_as_doubles() {
    let with = |more: &str| as_struct(&GOOD.replacen('{', &format!("{{{more}, "), 1));
    assert!(read(&with(r#""replay_capacity": 1000, "max_body_size": 65536, "missing_token_status": 503"#)).is_ok());
    assert!(error(&with(r#""replay_capacity": 1000.5"#)).starts_with("replay_capacity: "));
    assert!(error(&with(r#""max_age": null"#)).starts_with("max_age: "));
}

#[test]
fn a_bad_configuration_names_the_field_and_the_problem() {
    let account = |more: &str| format!(r#"{{"accounts": [{{"api_key": "a", {more}}}]}}"#);
    for (json, problem) in [
        (r#"{"accounts": []}"#.to_owned(), "accounts: must not be empty"),
        ("{}".to_owned(), "accounts: required, but missing"),
        (account(r#""secrets": ["env:NONE"]"#), "accounts[0].secrets[0]: the environment variable is not set"),
        (account(r#""secrets": ["env:SECRET"], "colour": 1"#), "accounts[0].colour: unknown field"),
        (GOOD.replacen('{', r#"{"mode": "off", "#, 1), "mode: expected one of `enforce`, `report`"),
    ] {
        assert_eq!(error(json.as_bytes()), problem);
        if json != "{}" {
            assert_eq!(error(&as_struct(&json)), problem);
        }
    }
    let file = error(account(r#""secrets": ["file:/etc/secret"]"#).as_bytes());
    assert!(
        file.starts_with("accounts[0].secrets[0]: file: is not available here") && file.contains("env:NAME"),
        "{file}"
    );
    for nothing in ["", " \n "] {
        assert_eq!(error(nothing.as_bytes()), "must not be empty");
    }
    assert!(error(b"{").starts_with("not a JSON object"));
    assert!(error(b"\xff\xfe").starts_with("expected JSON text"));
}

#[test]
fn a_short_secret_is_warned_of_once() {
    let shared = Shared::default();
    let configured = |secret: &str| {
        let json = GOOD.replace("env:SECRET", &format!("text:{secret}"));
        configure::<FakeEnvoy>(json.as_bytes(), &Known, &shared, NOW).unwrap()
    };
    let warned = |secret: &str| warnings_to_tell(configured(secret).verifier().policy(), &shared);
    let short = "accounts[0].secrets[0]: shorter than 32 bytes, which RFC 7518 asks for\n";
    assert_eq!(warned("short").as_deref(), Some(short));
    assert_eq!(warned("short"), None);
    // A word that was shared before, with another doubt in it.
    let blank = "accounts[0].secrets[0]: begins with a blank, which is taken as part of the secret\n";
    assert_eq!(warned(" short").unwrap(), format!("{blank}{short}"));
    assert_eq!(warned(&"long".repeat(8)), None);
    shared.break_down(true);
    assert!(warned("short").is_some());
}

#[test]
fn the_sandbox_has_an_environment_and_no_files() {
    assert!(SandboxSecrets.environment("PATH").is_ok());
    assert!(SandboxSecrets.environment("NO_SUCH_VARIABLE_HERE").is_err());
    assert!(SandboxSecrets.file("/etc/hostname").is_err());
}

proptest::proptest! {
    #[test]
    fn odd_bytes_never_panic(mut bytes: Vec<u8>, tagged: bool) {
        if tagged {
            bytes.insert(0, 0x0a);
        }
        let _ = read(&bytes);
    }
}
