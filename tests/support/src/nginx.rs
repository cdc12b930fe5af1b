//! A policy of the tables (JSON, as Envoy takes it) written as the block Nginx takes.

use std::fmt::Write;

use serde_json::Value;

/// `policy` as `secure_callbacks_policy NAME { … }`, for `http`.
///
/// Fields and values are carried over as they are, also wrong ones, so that a table of bad policies serves both hosts.
/// `name` inside the policy is left out: in Nginx the block's own name is the policy's.
#[must_use]
pub fn nginx_block(name: &str, policy: &Value) -> String {
    let mut block = format!("secure_callbacks_policy {} {{\n", word(name));
    let fields = policy.as_object().into_iter().flatten().filter(|(field, _)| *field != "name");
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("accounts", Value::Array(accounts)) => {
                for account in accounts {
                    let key = account.get("api_key").map(text).unwrap_or_default();
                    let entries = pairs(account, &[("secrets", "secret"), ("applications", "application")]);
                    line(&mut block, "account", std::iter::once(key).chain(entries));
                }
            }
            ("client_certificate", certificate) => {
                let kinds =
                    [("subjects", "subject"), ("dns_names", "dns_name"), ("sha256_fingerprints", "sha256_fingerprint")];
                line(&mut block, field, pairs(certificate, &kinds));
            }
            ("source_addresses", Value::Array(addresses)) => {
                line(&mut block, "source_address", addresses.iter().map(text));
            }
            (_, value) => line(&mut block, field, std::iter::once(text(value))),
        }
    }
    block.push_str("}\n");
    block
}

fn line(block: &mut String, field: &str, words: impl IntoIterator<Item = String>) {
    let words: String = words.into_iter().map(|entry| format!(" {}", word(&entry))).collect();
    // Writing into a String can't fail.
    let _ = writeln!(block, "    {field}{words};");
}

/// `key=value` words for the lists in `object`; a field that is not in `known` keeps its name.
fn pairs(object: &Value, known: &[(&str, &str)]) -> Vec<String> {
    let mut words = Vec::new();
    for (field, value) in object.as_object().into_iter().flatten().filter(|(field, _)| *field != "api_key") {
        let key = known.iter().find(|(list, _)| list == field).map_or(field.as_str(), |(_, key)| key);
        match value {
            Value::Array(entries) => words.extend(entries.iter().map(|entry| format!("{key}={}", text(entry)))),
            entry => words.push(format!("{key}={}", text(entry))),
        }
    }
    words
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        other => other.to_string(),
    }
}

/// Quoted where nginx would otherwise end the word or begin something else.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.:/=,*+@~^%&!?|".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::nginx_block;

    #[test]
    fn every_kind_of_field_becomes_a_line() {
        let policy = json!({
            "name": "left out",
            "accounts": [{ "api_key": "a1b2c3d", "secrets": ["env:A", "text:two words; \"x\""], "applications": ["app"] }],
            "client_certificate": { "subjects": ["CN=callbacks,O=TokBox, Inc."], "dns_names": ["*.opentok.com"] },
            "source_addresses": ["216.147.0.0/18", "::1/128"],
            "replay": false,
            "replay_capacity": 10,
            "max_age": "5m",
            "realm": "",
        });
        let block = nginx_block("video", &policy);
        for line in [
            "secure_callbacks_policy video {\n",
            "    account a1b2c3d application=app secret=env:A \"secret=text:two words; \\\"x\\\"\";\n",
            "    client_certificate dns_name=*.opentok.com \"subject=CN=callbacks,O=TokBox, Inc.\";\n",
            "    source_address 216.147.0.0/18 ::1/128;\n",
            "    replay off;\n",
            "    replay_capacity 10;\n",
            "    max_age 5m;\n",
            "    realm \"\";\n",
        ] {
            assert!(block.contains(line), "{line:?} is not in {block}");
        }
        assert!(!block.contains("left out"), "{block}");
    }
}
