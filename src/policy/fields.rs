//! Takes the fields of one object, each once, and names what is wrong by its place. What is wrong first is kept until all
//! are taken, so that a reader is one line for each field: a way out at every field would be 3 KB of the filter.

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
    /// What was wrong first.
    wrong: Option<PolicyError>,
}

impl Fields {
    /// The fields of `value`, which stands at `place` (empty for the policy itself).
    pub(super) fn of(value: Value, place: &str) -> Result<Self, PolicyError> {
        match value {
            Value::Object(left) => Ok(Self { place: place.into(), left, asked: Vec::new(), wrong: None }),
            _ => Err(PolicyError::new(place, Problem::Expected("an object"))),
        }
    }

    /// The place of a field, as errors name it.
    pub(super) fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.into() } else { format!("{}.{name}", self.place) }
    }

    /// Notes what is wrong with a field.
    #[inline(never)]
    pub(super) fn wrong(&mut self, name: &str, problem: Problem) {
        self.note(PolicyError::new(self.place(name), problem));
    }

    /// Notes an error; the first counts.
    pub(super) fn note(&mut self, error: PolicyError) {
        self.wrong.get_or_insert(error);
    }

    /// A value that was read, or what is wrong with the field.
    fn read<T>(&mut self, name: &str, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.wrong(name, problem)).ok()
    }

    #[inline(never)]
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.left.remove(name)
    }

    /// A text, read further by `read`; `None` if it is absent.
    pub(super) fn text<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        let text = self.string(name)?;
        self.read(name, read(&text))
    }

    /// The part that is the same for all, and there once.
    #[inline(never)]
    fn string(&mut self, name: &'static str) -> Option<String> {
        let value = self.take(name)?;
        self.read(name, string(value))
    }

    /// What must be there.
    pub(super) fn required<T: Default>(&mut self, name: &str, value: Option<T>) -> T {
        value.unwrap_or_else(|| {
            self.wrong(name, Problem::Missing);
            T::default()
        })
    }

    /// A duration in seconds.
    pub(super) fn seconds(&mut self, name: &'static str) -> Option<i64> {
        if let Some(Value::Number(_)) = self.left.get(name) {
            self.wrong(name, Problem::Expected("a duration with its unit, such as `300s`"));
        }
        self.text(name, units::seconds)
    }

    /// A size in bytes.
    pub(super) fn bytes(&mut self, name: &'static str) -> Option<u64> {
        match self.left.get(name) {
            Some(number @ Value::Number(_)) => {
                let size = whole_number(number).ok_or(units::A_SIZE).and_then(units::bytes_from_number);
                self.take(name);
                self.read(name, size)
            }
            _ => self.text(name, units::bytes),
        }
    }

    /// A flag: a JSON one, or `on` and `off`, because YAML reads a bare `off` as a flag and lines have words alone.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let flag = match self.take(name)? {
            Value::Bool(flag) => Ok(flag),
            Value::String(text) if text == "on" => Ok(true),
            Value::String(text) if text == "off" => Ok(false),
            _ => Err(Problem::NotOneOf(&["on", "off"])),
        };
        self.read(name, flag)
    }

    /// A count: a JSON number, or its digits, because lines have words alone.
    pub(super) fn count(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let count = match &self.take(name)? {
            Value::String(text) => digits(text),
            number => whole_number(number),
        };
        let count = match count {
            None => Err(Problem::Expected("a whole number")),
            Some(count) if (least..=most).contains(&count) => Ok(count),
            Some(_) => Err(Problem::OutOfRange { least, most }),
        };
        self.read(name, count)
    }

    /// A list of texts that is not empty, each read by `read`; `None` if it is absent.
    pub(super) fn texts<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<Vec<T>> {
        let values = self.list(name)?;
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            match string(value).and_then(|text| read(&text)) {
                Ok(item) => list.push(item),
                Err(problem) => self.wrong(&format!("{name}[{index}]"), problem),
            }
        }
        Some(list)
    }

    /// A list that is not empty; `None` if it is absent.
    #[inline(never)]
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<Value>> {
        let list = match self.take(name)? {
            Value::Array(values) if values.is_empty() => Err(Problem::Empty),
            Value::Array(values) => Ok(values),
            _ => Err(Problem::Expected("a list")),
        };
        self.read(name, list)
    }

    /// What was wrong first; then what was not taken.
    pub(super) fn finish(self) -> Result<(), PolicyError> {
        match (self.wrong, self.left.keys().next()) {
            (Some(wrong), _) => Err(wrong),
            (None, None) => Ok(()),
            (None, Some(name)) => Err(PolicyError::unknown(&self.place, name, &self.asked)),
        }
    }
}

fn string(value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        // YAML takes digits without quotes for a number, as some keys are.
        Value::Number(_) => Err(Problem::Expected("text: quote it")),
        _ => Err(Problem::Expected("text")),
    }
}

/// A number that is a count. A protobuf `Struct` has floating-point numbers alone, so `10.0` is one.
fn whole_number(value: &Value) -> Option<u64> {
    /// Above 2^53 a double no longer holds every whole number.
    const FURTHEST: f64 = 9_007_199_254_740_992.0;
    match value.as_u64() {
        Some(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range and whole, as checked")]
        None => value.as_f64().filter(|n| (0.0..=FURTHEST).contains(n) && n % 1.0 == 0.0).map(|n| n as u64),
    }
}
