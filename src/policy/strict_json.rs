//! JSON text into a tree, refusing a field that occurs twice (`serde_json` by itself silently keeps the last one).

use alloc::string::String;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::problem::{PolicyError, Problem, names};

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Value, PolicyError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut repeated = None;
    let value = Strict { repeated: &mut repeated }.deserialize(&mut deserializer);
    match repeated {
        Some(name) if names::is_shown(&name) => return Err(PolicyError::new(name, Problem::Repeated)),
        Some(_) => return Err(PolicyError::new("", Problem::Expected("each name of an object once"))),
        None => {}
    }
    let not_json = |error: serde_json::Error| Problem::NotJson { line: error.line(), column: error.column() };
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| PolicyError::new("", not_json(error)))
}

struct Strict<'r> {
    repeated: &'r mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = alloc::vec::Vec::new();
        while let Some(value) = list.next_element_seed(Strict { repeated: self.repeated })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(Strict { repeated: self.repeated })?;
            // The first is told. An error here would be one of `serde`'s, with a message to write (`token::json`).
            if fields.insert(name.clone(), value).is_some() && self.repeated.is_none() {
                *self.repeated = Some(name);
            }
        }
        Ok(Value::Object(fields))
    }
}
