//! Distinguished names in the form of RFC 2253, compared by what they say and not by how they are escaped.

use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::problem::Problem;

/// A distinguished name: its relative names, most specific first, each a sorted set (a multi-valued one has no order).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject(Vec<Vec<Attribute>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    /// In lower case: types have no case (RFC 4512 section 2.5).
    kind: String,
    value: Value,
}

/// Values are compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(Vec<u8>),
    /// `#` and hex digits: the value's BER encoding, for types that have no name.
    Encoded(Vec<u8>),
}

/// The name can't be read as RFC 2253 has it.
#[derive(Debug, PartialEq, Eq)]
struct NotAName;

/// A subject that a policy names.
#[derive(Debug, Clone)]
pub(crate) struct WantedSubject {
    written: Box<[u8]>,
    name: Subject,
}

impl WantedSubject {
    /// Reads a name as a policy writes it.
    pub(crate) fn from_policy(text: &str) -> Result<Self, Problem> {
        let name = Subject::parse(text.as_bytes())
            .map_err(|NotAName| Problem::Expected("a subject such as `CN=callbacks.opentok.com,O=TokBox\\, Inc.`"))?;
        Ok(Self { written: text.as_bytes().into(), name })
    }

    /// Whether one of `wanted` is the name that a certificate shows.
    pub(crate) fn any_is(wanted: &[Self], shown: &[u8]) -> bool {
        // Mostly the policy has it as the proxy writes it: then there is nothing to read.
        wanted.iter().any(|wanted| *wanted.written == *shown)
            || Subject::parse(shown).is_ok_and(|shown| wanted.iter().any(|wanted| wanted.name == shown))
    }
}

impl Subject {
    fn parse(text: &[u8]) -> Result<Self, NotAName> {
        let mut reader = Reader { left: text };
        let mut names = Vec::new();
        loop {
            // Sorted by a heap: equal attributes are the same, and the stable sort of a slice would be 8 KB of the module.
            let mut name = BinaryHeap::new();
            let mut next = b'+';
            while next == b'+' {
                name.push(reader.attribute()?);
                next = match reader.next() {
                    None => break,
                    Some(separator @ (b'+' | b',' | b';')) => separator,
                    Some(_) => return Err(NotAName),
                };
            }
            names.push(name.into_sorted_vec());
            if next == b'+' {
                // The text ended after an attribute.
                return Ok(Self(names));
            }
        }
    }
}

struct Reader<'t> {
    left: &'t [u8],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    fn skip_blanks(&mut self) {
        self.left = self.left.trim_ascii_start();
    }

    fn attribute(&mut self) -> Result<Attribute, NotAName> {
        self.skip_blanks();
        let mut kind = String::new();
        loop {
            match self.next().ok_or(NotAName)? {
                b'=' => break,
                byte if byte.is_ascii_alphanumeric() || b"-.".contains(&byte) => {
                    kind.push(char::from(byte.to_ascii_lowercase()));
                }
                _ => return Err(NotAName),
            }
        }
        if kind.is_empty() {
            return Err(NotAName);
        }
        self.skip_blanks();
        let value = match self.peek() {
            Some(b'#') => self.encoded()?,
            Some(b'"') => self.quoted()?,
            _ => self.text()?,
        };
        Ok(Attribute { kind, value })
    }

    fn encoded(&mut self) -> Result<Value, NotAName> {
        let end = self.left.iter().position(|byte| b"+,;".contains(byte)).unwrap_or(self.left.len());
        let (value, rest) = self.left.split_at_checked(end).ok_or(NotAName)?;
        self.left = rest;
        let digits = value.strip_prefix(b"#").ok_or(NotAName)?.trim_ascii_end();
        let bytes = hex::decode(digits).map_err(|_| NotAName)?;
        if bytes.is_empty() { Err(NotAName) } else { Ok(Value::Encoded(bytes)) }
    }

    /// RFC 2253 section 4 still takes the quotes of RFC 1779.
    fn quoted(&mut self) -> Result<Value, NotAName> {
        self.next();
        let mut value = Vec::new();
        loop {
            match self.next().ok_or(NotAName)? {
                b'"' => break,
                b'\\' => value.push(self.escaped()?),
                byte => value.push(byte),
            }
        }
        self.skip_blanks();
        Ok(Value::Text(value))
    }

    fn text(&mut self) -> Result<Value, NotAName> {
        let mut value = Vec::new();
        // Blanks at the end that no escape protects are not part of the value.
        let mut length = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b'+' | b',' | b';' => break,
                b'"' => return Err(NotAName),
                _ => {}
            }
            self.next();
            if byte == b'\\' {
                value.push(self.escaped()?);
                length = value.len();
            } else {
                value.push(byte);
                length = if byte == b' ' { length } else { value.len() };
            }
        }
        value.truncate(length);
        Ok(Value::Text(value))
    }

    /// What follows a backslash: a pair of hex digits, or the character itself.
    fn escaped(&mut self) -> Result<u8, NotAName> {
        let first = self.next().ok_or(NotAName)?;
        if !first.is_ascii_hexdigit() {
            return Ok(first);
        }
        let second = self.next().ok_or(NotAName)?;
        let mut byte = [0];
        hex::decode_to_slice([first, second], &mut byte).map_err(|_| NotAName)?;
        let [byte] = byte;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_however_it_is_escaped() {
        for (written, shown) in [
            ("CN=callbacks.opentok.com,O=TokBox", "CN=callbacks.opentok.com,O=TokBox"),
            ("cn=callbacks.opentok.com, o=TokBox", "CN=callbacks.opentok.com,O=TokBox"),
            (r#"CN=a,O="TokBox, Inc.""#, r"CN=a,O=TokBox\, Inc."),
            (r"CN=a,O=TokBox\2C Inc.", r"CN=a,O=TokBox\, Inc."),
            ("CN=Wébhook,C=GB", r"CN=W\C3\A9bhook,C=GB"),
            ("OU=b+CN=a,C=GB", "CN=a+OU=b,C=GB"),
            (r"CN=\ a\ ", r"CN=\20a\20"),
            ("CN=a+b=c", "b=c+CN=a"),
            ("1.2.3.4=#04024869", "1.2.3.4=#04024869"),
            ("CN=", "CN="),
        ] {
            assert_eq!(Subject::parse(written.as_bytes()), Subject::parse(shown.as_bytes()), "{written}");
            assert!(Subject::parse(written.as_bytes()).is_ok(), "{written}");
        }
    }

    #[test]
    fn names_that_say_something_else_differ() {
        let name = Subject::parse(b"CN=callbacks.opentok.com,O=TokBox").unwrap();
        for other in [
            "CN=Callbacks.opentok.com,O=TokBox",
            "O=TokBox,CN=callbacks.opentok.com",
            "CN=callbacks.opentok.com+O=TokBox",
            "CN=callbacks.opentok.com",
            "CN=callbacks.opentok.com,O=TokBox,C=US",
            r"CN=callbacks.opentok.com\,O=TokBox",
            "CN=callbacks.opentok.com,O=#1306546f6b426f78",
        ] {
            assert_ne!(Subject::parse(other.as_bytes()).unwrap(), name, "{other}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "CN",
            "=a",
            "CN=a,",
            "CN=a+",
            "CN=a,,O=b",
            "C N=a",
            r"CN=\",
            r"CN=\4",
            r"CN=\4z",
            "CN=\"a",
            "CN=#",
            "CN=#1",
            "CN=a\"b",
        ] {
            assert_eq!(Subject::parse(text.as_bytes()), Err(NotAName), "{text}");
        }
    }
}
