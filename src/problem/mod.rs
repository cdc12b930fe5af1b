//! Why a policy is refused: the field, by its place, and the problem.

pub mod names;

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::secret::SecretProblem;

/// One bad entry refuses the whole policy. Its text is `FIELD: PROBLEM`, and never holds a value: any may be a secret in
/// the wrong place, and so may what stands behind `env:` and `file:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The field's place: `max_age`, `accounts[0].secrets[1]`, `lines[2]` of a block; empty if the policy as a whole can't
    /// be read.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl PolicyError {
    /// A problem at a place.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self { field: field.into(), problem }
    }

    /// No field of the object at `place` has this name; `known` are the names it might have. A name that may be a secret is
    /// not in the error.
    pub(crate) fn unknown(place: &str, name: &str, known: &[&'static str]) -> Self {
        let close = names::close(name, known);
        if !names::is_shown(name) {
            return Self::new(place, Problem::UnknownField { is_shown: false, close });
        }
        let place = if place.is_empty() { name.into() } else { format!("{place}.{name}") };
        Self::new(place, Problem::UnknownField { is_shown: true, close })
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { self.problem.fmt(f) } else { write!(f, "{}: {}", self.field, self.problem) }
    }
}

impl core::error::Error for PolicyError {}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The text is not JSON; with line and column.
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// No field has this name.
    UnknownField {
        /// Whether the name is a part of the place. One that could be a secret is not.
        is_shown: bool,
        /// The name that was probably meant.
        close: Option<&'static str>,
    },
    /// The field stands there more than once.
    Repeated,
    /// The field must be there.
    Missing,
    /// A list or a text with nothing in it.
    Empty,
    /// The value's kind is another.
    Expected(&'static str),
    /// The value is not one of these.
    NotOneOf(&'static [&'static str]),
    /// A number outside its range.
    OutOfRange {
        /// The least that is taken.
        least: u64,
        /// The most that is taken.
        most: u64,
    },
    /// Characters that may not stand there; the text says which may.
    Characters(&'static str),
    /// Another account has the same `api_key`.
    DuplicateAccount,
    /// A line's first word is a part, and not the account's key.
    KeyWanted,
    /// A header that the proxy or the application owns can't hold the token.
    ReservedHeader,
    /// The secret can't be had from where the reference says. The reference is not told: where somebody took the wrong
    /// prefix, it is the secret.
    Secret(SecretProblem),
}

impl From<SecretProblem> for Problem {
    fn from(problem: SecretProblem) -> Self {
        Self::Secret(problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(f, "not a JSON object (line {line}, column {column})"),
            Self::UnknownField { is_shown, close } => {
                f.write_str("unknown field")?;
                if !is_shown {
                    f.write_str(" (its name is not shown, it may be a secret)")?;
                }
                match close {
                    Some(name) => write!(f, ", did you mean `{name}`?"),
                    None => Ok(()),
                }
            }
            Self::Repeated => f.write_str("given more than once"),
            Self::Missing => f.write_str("required, but missing"),
            Self::Empty => f.write_str("must not be empty"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::NotOneOf(values) => {
                f.write_str("expected one of ")?;
                for (index, value) in values.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}`{value}`")?;
                }
                Ok(())
            }
            Self::OutOfRange { least, most } => write!(f, "out of range: from {least} to {most}"),
            Self::Characters(allowed) => write!(f, "only {allowed} may stand here"),
            Self::DuplicateAccount => f.write_str("another account has the same api_key; put its secrets together"),
            Self::KeyWanted => f.write_str("write the key itself: `account KEY secret=…`"),
            Self::ReservedHeader => f.write_str("this header can't hold the token"),
            Self::Secret(problem) => problem.fmt(f),
        }
    }
}
