//! A policy written as lines of words, such as an Nginx block has them, into the tree that the JSON form gives.
//!
//! A scalar field is a line of the same name and value. Fields with parts are lines with `part=value` words, and may
//! repeat: `account KEY secret=… application=…`, `client_certificate subject=… dns_name=…`, `source_address CIDR …`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::problem::{PolicyError, Problem, names};

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
    "payload",
    "payload_hash",
    "max_body_size",
    "replay",
    "replay_capacity",
    "replay_store",
    "missing_token_status",
    "expose_reason",
    "realm",
];

/// A part of a line: the word before `=`, and the list of the JSON form that it adds to.
type Parts = &'static [(&'static str, &'static str)];

const ACCOUNT_PARTS: Parts = &[("secret", "secrets"), ("application", "applications")];
const CERTIFICATE_PARTS: Parts =
    &[("subject", "subjects"), ("dns_name", "dns_names"), ("sha256_fingerprint", "sha256_fingerprints")];

const STORE_PARTS: Parts = &[
    ("url", "url"),
    ("cluster", "cluster"),
    ("password", "password"),
    ("prefix", "prefix"),
    ("timeout", "timeout"),
    ("on_failure", "on_failure"),
];

/// Which of the lines of a block a place is in that [`PolicyError`] or [`Policy::warnings`] names; `None`: in none of
/// them, such as a field that is missing. Places name fields as the JSON form has them.
///
/// [`Policy::warnings`]: super::Policy::warnings
#[must_use]
pub fn line_of(place: &str, lines: &[Line]) -> Option<usize> {
    let named = |name: &'static str| lines.iter().enumerate().filter(move |(_, line)| line.name == name);
    // A field that is given twice is wrong the second time.
    if let Some(last) = lines.iter().rposition(|line| line.name == place) {
        return Some(last);
    }
    let (field, rest) = place.split_at(place.find(['.', '[']).unwrap_or(place.len()));
    match field {
        "lines" => index(rest),
        "replay_store" => named("replay_store").next_back().map(|(line, _)| line),
        "accounts" => named("account").nth(index(rest)?).map(|(line, _)| line),
        "source_addresses" => nth_of(named("source_address"), index(rest)?, |_| true),
        "client_certificate" => {
            let list = rest.trim_start_matches('.');
            let (part, _) = CERTIFICATE_PARTS.iter().find(|(_, name)| list.starts_with(name))?;
            let is_part = |value: &str| value.split_once('=').is_some_and(|(name, _)| name == *part);
            nth_of(named("client_certificate"), index(list)?, is_part)
        }
        _ => None,
    }
}

/// The number in brackets of `name[nth]`.
fn index(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once('[')?;
    rest.split(']').next()?.parse().ok()
}

/// The line that has the value of this index among those of all lines that count.
fn nth_of<'l>(
    lines: impl Iterator<Item = (usize, &'l Line)>,
    nth: usize,
    counts: impl Fn(&str) -> bool + Copy,
) -> Option<usize> {
    let each = lines.flat_map(|(at, line)| line.values.iter().filter(move |value| counts(value)).map(move |_| at));
    each.into_iter().nth(nth)
}

pub(super) fn to_value(name: &str, lines: &[Line]) -> Result<Value, PolicyError> {
    let mut fields = Map::new();
    fields.insert("name".into(), name.into());
    let mut accounts = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match line.name.as_str() {
            "account" => accounts.push(account(line, accounts.len())?),
            "client_certificate" => add_parts(&mut fields, "client_certificate", line)?,
            "replay_store" if line.values != ["local"] => replay_store(&mut fields, line)?,
            "source_address" => add_all(&mut fields, "source_addresses", line)?,
            // Whatever else is on the line: what is wrong with it is the misspelt name.
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
    // Read as a key, such a word would be the key of nobody.
    let part = api_key.split_once('=').map_or("", |(part, _)| part);
    if names::close(part, &["api_key", "secret", "application"]).is_some() {
        return Err(PolicyError::new(format!("{place}.api_key"), Problem::KeyWanted));
    }
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

/// Parts that are texts of their own, but the nodes, which are a list where there are several.
fn replay_store(fields: &mut Map<String, Value>, line: &Line) -> Result<(), PolicyError> {
    const NAME: &str = "replay_store";
    let mut lists = Map::new();
    fill(&mut lists, &line.values, STORE_PARTS, NAME)?;
    let mut store = Map::new();
    for (name, value) in lists {
        let place = format!("{NAME}.{name}");
        let (name, value) = match value {
            Value::Array(urls) if name == "url" && urls.len() > 1 => ("urls".into(), Value::Array(urls)),
            Value::Array(mut one) if one.len() == 1 => (name, one.remove(0)),
            _ => return Err(PolicyError::new(place, Problem::Repeated)),
        };
        store.insert(name, value);
    }
    match fields.insert(NAME.into(), Value::Object(store)) {
        None => Ok(()),
        Some(_) => Err(PolicyError::new(NAME, Problem::Repeated)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn a_place_is_found_in_its_line() {
        let line = |text: &str| {
            let mut words = text.split(' ').map(ToString::to_string);
            Line { name: words.next().unwrap(), values: words.collect() }
        };
        let lines: Vec<_> = [
            "mode enforce",
            "account a secret=text:0123",
            "max_age 5m",
            "account b secret=text:4567",
            "source_address 10.0.0.0/8",
            "max_age 6m",
            "source_address 192.0.2.0/24 10.1.0.0/16",
            "client_certificate subject=CN=a dns_name=a.example",
            "client_certificate dns_name=b.example",
        ]
        .into_iter()
        .map(line)
        .collect();
        for (place, due) in [
            ("mode", Some(0)),
            ("accounts[0].secrets[0]", Some(1)),
            ("accounts[1].api_key", Some(3)),
            ("accounts[1]", Some(3)),
            ("accounts[2].api_key", None),
            ("accounts", None),
            // Given twice: wrong the second time.
            ("max_age", Some(5)),
            ("source_addresses[0]", Some(4)),
            ("source_addresses[1]", Some(6)),
            ("source_addresses[2]", Some(6)),
            ("source_addresses[3]", None),
            ("client_certificate.dns_names[0]", Some(7)),
            ("client_certificate.dns_names[1]", Some(8)),
            ("client_certificate.subjects[0]", Some(7)),
            ("client_certificate", Some(8)),
            ("lines[2]", Some(2)),
            ("leeway", None),
            ("", None),
        ] {
            assert_eq!(line_of(place, &lines), due, "{place}");
        }
        // The places are those that errors name.
        for (bad, due) in [
            (vec!["mode enforce", "account a secret=text:0123", "account b secret=env:"], Some(2)),
            (vec!["max_age 5m", "account a secret=text:0123", "max_age 6m"], Some(2)),
            (vec!["account a secret=text:0123", "Secret!"], Some(1)),
            (vec!["mode enforce"], None),
            (vec!["source_addresses 10.0.0.0/8", "source_address 10.0.0.0/8"], Some(0)),
            (vec!["account a secret=text:0123", "accounts b"], Some(1)),
            (vec!["account a secret=text:0123", "source_address x", "source_address 10.0.0.0/8"], Some(1)),
        ] {
            let lines: Vec<_> = bad.iter().copied().map(line).collect();
            let error = crate::PolicyConfig::from_lines("p", &lines).unwrap_err();
            assert_eq!(line_of(&error.field, &lines), due, "{bad:?}: {error}");
        }
    }
}
