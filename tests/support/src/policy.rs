//! Policies as JSON: the plain one, and what a test changes in it.

use serde_json::{Value, json};

use crate::token::{API_KEY, SECRET};

/// A policy with the account of every token that names no other, and with these fields.
#[must_use]
pub fn policy(fields: Value) -> Value {
    merged(json!({ "accounts": [{ "api_key": API_KEY, "secrets": [format!("text:{SECRET}")] }] }), &fields)
}

/// An object with other fields put into it, or in the place of its own; `null` takes one away.
///
/// # Panics
/// If one of the two is no object.
#[must_use]
pub fn merged(mut object: Value, fields: &Value) -> Value {
    let own = object.as_object_mut().expect("an object");
    own.extend(fields.as_object().expect("fields").clone());
    own.retain(|_, value| !value.is_null());
    object
}
