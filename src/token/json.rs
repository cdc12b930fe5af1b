//! One JSON object read member by member: no tree, no duplicate member, nothing after it.

use alloc::borrow::Cow;
use alloc::collections::BinaryHeap;
use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member's value. Nested ones are read through, so that they are valid JSON, and not kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Fraction(f64),
    /// `null`, a flag, an array or an object.
    Other,
}

/// The values of `N` members of a JSON object, each at the index that `index` gives its name; `None` if the text is not
/// exactly one JSON object, or names any member twice (however it is escaped).
pub(crate) fn members<const N: usize>(json: &str, index: Index) -> Option<[Option<Scalar<'_>>; N]> {
    let mut values = [const { None }; N];
    read(json, index, &mut values)?.then_some(values)
}

/// Where a member's value goes; `None`: nobody asks for it.
pub(crate) type Index = fn(name: &str) -> Option<usize>;

/// The same for any number of members, so that it is compiled once; `false` for JSON that is not such an object.
fn read<'a>(json: &'a str, index: Index, values: &mut [Option<Scalar<'a>>]) -> Option<bool> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let is_good = deserializer.deserialize_any(Members { index, values }).ok()?;
    deserializer.end().ok()?;
    Some(is_good)
}

struct Members<'w, 'de> {
    index: Index,
    /// Written where they stay: they are large.
    values: &'w mut [Option<Scalar<'de>>],
}

/// `false` for what is JSON, but not what it should be. An error of `serde`'s own would be a message that nobody reads, and
/// would bring the search for a position in it, and the formatting of floating-point numbers, 50 KB, into the module.
impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut repeated = false;
        // Sorted at the end, because a caller nobody knows chooses how many there are.
        let mut others = BinaryHeap::new();
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value()?;
            match (self.index)(&name).and_then(|index| self.values.get_mut(index)) {
                Some(slot) => repeated |= slot.replace(value).is_some(),
                None => others.push(name),
            }
        }
        let others = others.into_sorted_vec();
        repeated |= others.windows(2).any(|pair| pair.first() == pair.last());
        Ok(!repeated)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

/// In JSON a name is always text.
struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(name.into())))
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Integer))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Fraction(number))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// The member `a` and no other.
    const ONE: Index = |name| (name == "a").then_some(0);

    #[test]
    fn reads_the_wanted_and_reads_through_the_rest() {
        let json = r#" {"a":"x","deep":[{"a":1},[null,true]],"n":-7,"f":1.5,"big":18446744073709551615,"e":"\u0041"} "#;
        let index = |name: &str| ["a", "n", "f", "big", "e", "deep", "none"].iter().position(|wanted| *wanted == name);
        let [a, n, f, big, e, deep, none] = members(json, index).unwrap();
        assert_eq!(a, Some(Scalar::Text("x".into())));
        assert_eq!(n, Some(Scalar::Integer(-7)));
        assert_eq!(f, Some(Scalar::Fraction(1.5)));
        assert_eq!(e, Some(Scalar::Text("A".into())));
        assert_eq!((big, deep, none), (Some(Scalar::Other), Some(Scalar::Other), None));
    }

    #[test]
    fn refuses_what_is_not_one_object_without_duplicates() {
        for json in [
            "",
            "[]",
            "1",
            r#""a""#,
            "{",
            "{}{}",
            "{} x",
            r#"{"a":1,}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"z":1,"z":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"z":1,"\u007a":2}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(members::<1>(json, ONE).is_none(), "{json}");
        }
    }

    #[test]
    fn nesting_takes_no_stack() {
        let deep = String::from(r#"{"z":"#) + &"[".repeat(100_000) + &"]".repeat(100_000) + r#","a":1}"#;
        assert_eq!(members(&deep, ONE).unwrap(), [Some(Scalar::Integer(1))]);
        let open = String::from(r#"{"a":"#) + &"[".repeat(100_000);
        assert!(members::<1>(&open, ONE).is_none());
    }
}
