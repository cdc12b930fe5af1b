//! The configuration reference and the JSON Schema say what the reader of policies does.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod page;
mod schema;

use secure_callbacks::policy::PolicyConfig;
use serde_json::{Value, json};

/// A policy with one more field beside a good account.
fn with(name: &str, value: Value) -> Value {
    let mut policy = json!({ "accounts": [{ "api_key": "k", "secrets": ["env:SECRET"] }] });
    policy[name] = value;
    policy
}

/// The names of the fields that the reader keeps, from the one place that lists them all.
fn fields() -> Vec<String> {
    let config = PolicyConfig::from_value(with("name", json!("p"))).expect("a good policy");
    let shown = format!("{config:#?}");
    // One field a line, four blanks in.
    let names = shown.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    names.map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with(' ')).collect()
}

/// The reader's fields with a default, in full and left out, give the same policy.
#[test]
fn defaults_are_those_of_the_reader() {
    let schema = schema::text();
    let bare = PolicyConfig::from_value(with("name", json!("p"))).expect("a good policy");
    let mut written = with("name", json!("p"));
    for (name, field) in schema["properties"].as_object().expect("properties") {
        if let Some(default) = field.get("default").filter(|_| name != "name") {
            written[name] = default.clone();
        }
    }
    let written = PolicyConfig::from_value(written).expect("the defaults");
    assert_eq!(format!("{written:?}"), format!("{bare:?}"));
}
