//! A configuration's bytes into a policy. Envoy hands over a `google.protobuf.StringValue` as its text. A
//! `google.protobuf.Struct` comes as raw protobuf (in the sandbox, and from routes to a module in 1.38) or as JSON text.

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as StructValue};
use secure_callbacks::problem::Problem;
use secure_callbacks::{PolicyConfig, PolicyError};
use serde_json::{Map, Value};

/// How a serialized `Struct` starts: the tag of its only field. It is also a line feed, which JSON text may start with;
/// then the bytes after it do not decode.
const STRUCT_TAG: u8 = 0x0a;

/// Reads a policy from the bytes of a configuration.
///
/// # Errors
/// The first bad entry, by its place.
pub fn read(bytes: &[u8]) -> Result<PolicyConfig, PolicyError> {
    if bytes.trim_ascii().is_empty() {
        return Err(PolicyError::new("", Problem::Empty));
    }
    if bytes.first() == Some(&STRUCT_TAG)
        && let Ok(fields) = Struct::decode(bytes)
    {
        return PolicyConfig::from_value(object(fields));
    }
    match str::from_utf8(bytes) {
        Ok(text) => PolicyConfig::from_json(text),
        Err(_) => Err(PolicyError::new("", Problem::Expected("JSON text or a google.protobuf.Struct"))),
    }
}

fn object(fields: Struct) -> Value {
    let mut object = Map::new();
    // One by one: `collect` would sort them first, though they are sorted, and that is 5 KB of the module.
    for (name, field) in fields.fields {
        object.insert(name, value(field));
    }
    Value::Object(object)
}

fn value(value: StructValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::StructValue(fields)) => object(fields),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(self::value).collect()),
    }
}
