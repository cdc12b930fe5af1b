//! A policy written as lines of words, such as an Nginx block has them, into the tree that the JSON form gives.
//!
//! A scalar field is a line of the same name and value. Fields with parts are lines with `part=value` words, and may
//! repeat: `account KEY secret=… application=…`, `client_certificate subject=… dns_name=…`, `source_address CIDR …`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::error::{PolicyError, Problem};

/// One line: its first word, and the others, without the quotes around a whole word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The field's name.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
}

/// The names that a line can have.
const NAMES: &[&str] = &[
    "account",
    "client_certificate",
    "source_address",
    "mode",
    "token_header",
    "issuer",
    "max_age",
    "leeway",
    "payload_hash",
    "max_body_size",
    "replay",
    "replay_capacity",
    "missing_token_status",
    "expose_reason",
    "realm",
];

/// A part of a line: the word before `=`, and the list of the JSON form that it adds to.
type Parts = &'static [(&'static str, &'static str)];

const ACCOUNT_PARTS: Parts = &[("secret", "secrets"), ("application", "applications")];
const CERTIFICATE_PARTS: Parts =
    &[("subject", "subjects"), ("dns_name", "dns_names"), ("sha256_fingerprint", "sha256_fingerprints")];

pub(super) fn to_value(name: &str, lines: &[Line]) -> Result<Value, PolicyError> {
    let mut fields = Map::new();
    fields.insert("name".into(), name.into());
    let mut accounts = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match line.name.as_str() {
            "account" => accounts.push(account(line, accounts.len())?),
            "client_certificate" => add_parts(&mut fields, "client_certificate", line)?,
            "source_address" => add_all(&mut fields, "source_addresses", line)?,
            // Whatever the line has more: a misspelt name is what is wrong with it.
            name if !NAMES.contains(&name) => {
                let mut error = PolicyError::unknown("", name, NAMES);
                if error.field.is_empty() {
                    error.field = format!("lines[{index}]");
                }
                return Err(error);
            }
            name => {
                let [value] = line.values.as_slice() else {
                    return Err(PolicyError::new(name, Problem::Expected("exactly one value")));
                };
                if fields.insert(name.into(), value.as_str().into()).is_some() {
                    return Err(PolicyError::new(name, Problem::Repeated));
                }
            }
        }
    }
    if !accounts.is_empty() {
        fields.insert("accounts".into(), Value::Array(accounts));
    }
    Ok(Value::Object(fields))
}

fn account(line: &Line, index: usize) -> Result<Value, PolicyError> {
    let place = format!("accounts[{index}]");
    let Some((api_key, parts)) = line.values.split_first() else {
        return Err(PolicyError::new(format!("{place}.api_key"), Problem::Missing));
    };
    let mut account = Map::new();
    account.insert("api_key".into(), api_key.as_str().into());
    fill(&mut account, parts, ACCOUNT_PARTS, &place)?;
    Ok(Value::Object(account))
}

fn add_parts(fields: &mut Map<String, Value>, name: &str, line: &Line) -> Result<(), PolicyError> {
    if line.values.is_empty() {
        return Err(PolicyError::new(name, Problem::Empty));
    }
    match fields.entry(name).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(parts) => fill(parts, &line.values, CERTIFICATE_PARTS, name),
        _ => Err(PolicyError::new(name, Problem::Repeated)),
    }
}

fn add_all(fields: &mut Map<String, Value>, name: &str, line: &Line) -> Result<(), PolicyError> {
    if line.values.is_empty() {
        return Err(PolicyError::new(name, Problem::Empty));
    }
    for value in &line.values {
        push(fields, name, value);
    }
    Ok(())
}

fn fill(fields: &mut Map<String, Value>, words: &[String], parts: Parts, place: &str) -> Result<(), PolicyError> {
    for word in words {
        // The word itself is not in the error: it may be a secret whose `secret=` was forgotten, and one in base64 ends in
        // `=` or `==`.
        let Some((part, value)) = word.split_once('=').filter(|(_, value)| !value.trim_matches('=').is_empty()) else {
            return Err(PolicyError::new(place, Problem::Expected("`part=value`")));
        };
        let Some((_, list)) = parts.iter().find(|(name, _)| *name == part) else {
            let known: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
            return Err(PolicyError::unknown(place, part, &known));
        };
        push(fields, list, unquoted(value));
    }
    Ok(())
}

fn push(fields: &mut Map<String, Value>, list: &str, value: &str) {
    if let Value::Array(values) = fields.entry(list.to_string()).or_insert_with(|| Value::Array(Vec::new())) {
        values.push(value.into());
    }
}

/// Drops the quotes of `part="value"`, which a line's own reader leaves, because the word does not begin with them.
fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}
