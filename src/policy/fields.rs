//! Takes the fields of one object, each once, and names what is wrong by its place.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::units;
use crate::problem::{PolicyError, Problem};

/// The fields of an object that are not taken yet.
pub(super) struct Fields {
    place: String,
    left: Map<String, Value>,
    /// The names that were asked for: all that there are, once everything is taken.
    asked: Vec<&'static str>,
}

impl Fields {
    /// The fields of `value`, which stands at `place` (empty for the policy itself).
    pub(super) fn of(value: Value, place: &str) -> Result<Self, PolicyError> {
        match value {
            Value::Object(left) => Ok(Self { place: place.into(), left, asked: Vec::new() }),
            _ => Err(PolicyError::new(place, Problem::Expected("an object"))),
        }
    }

    /// The place of a field, as errors name it.
    pub(super) fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.into() } else { format!("{}.{name}", self.place) }
    }

    pub(super) fn error(&self, name: &str, problem: Problem) -> PolicyError {
        PolicyError::new(self.place(name), problem)
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.left.remove(name)
    }

    /// A text, read further by `read`; `None` if it is absent.
    pub(super) fn text<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<Option<T>, PolicyError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => read(&text).map(Some).map_err(|problem| self.error(name, problem)),
            Some(_) => Err(self.error(name, Problem::Expected("text"))),
        }
    }

    /// A duration in seconds.
    pub(super) fn seconds(&mut self, name: &'static str) -> Result<Option<i64>, PolicyError> {
        match self.left.get(name) {
            Some(Value::Number(_)) => {
                Err(self.error(name, Problem::Expected("a duration with its unit, such as `300s`")))
            }
            _ => self.text(name, units::seconds),
        }
    }

    /// A size in bytes.
    pub(super) fn bytes(&mut self, name: &'static str) -> Result<Option<u64>, PolicyError> {
        match self.left.get(name).and_then(whole_number) {
            Some(number) => {
                self.take(name);
                units::bytes_from_number(number).map(Some).map_err(|problem| self.error(name, problem))
            }
            None => self.text(name, units::bytes),
        }
    }

    /// A flag: a JSON one, or `on` and `off`, because YAML reads a bare `off` as a flag and lines only have words.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, PolicyError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text == "on" => Ok(Some(true)),
            Some(Value::String(text)) if text == "off" => Ok(Some(false)),
            Some(_) => Err(self.error(name, Problem::NotOneOf(&["on", "off"]))),
        }
    }

    /// A count: a JSON number, or its digits, because lines only have words.
    pub(super) fn count(&mut self, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, PolicyError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let count = match &value {
            Value::String(text) => digits(text),
            number => whole_number(number),
        };
        match count {
            None => Err(self.error(name, Problem::Expected("a whole number"))),
            Some(count) if (least..=most).contains(&count) => Ok(Some(count)),
            Some(_) => Err(self.error(name, Problem::OutOfRange { least, most })),
        }
    }

    /// A list of texts that is not empty, each read by `read`; `None` if it is absent.
    pub(super) fn texts<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<Vec<T>>, PolicyError> {
        let Some(values) = self.list(name)? else { return Ok(None) };
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let item = match value {
                Value::String(text) => read(text),
                _ => Err(Problem::Expected("text")),
            };
            list.push(item.map_err(|problem| PolicyError::new(format!("{}[{index}]", self.place(name)), problem))?);
        }
        Ok(Some(list))
    }

    /// A list that is not empty; `None` if it is absent.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Option<Vec<Value>>, PolicyError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) if values.is_empty() => Err(self.error(name, Problem::Empty)),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(self.error(name, Problem::Expected("a list"))),
        }
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), PolicyError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(PolicyError::unknown(&self.place, name, &self.asked)),
        }
    }
}

/// A number that is a count. A protobuf `Struct` has only floating-point numbers, so `10.0` is one.
fn whole_number(value: &Value) -> Option<u64> {
    /// Above 2^53 a double no longer holds every whole number.
    const FURTHEST: f64 = 9_007_199_254_740_992.0;
    match value.as_u64() {
        Some(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range and whole, as checked")]
        None => value.as_f64().filter(|n| (0.0..=FURTHEST).contains(n) && n % 1.0 == 0.0).map(|n| n as u64),
    }
}
