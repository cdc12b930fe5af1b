//! What in a policy is taken as it is written, and is probably not what was meant.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::secret::Secret;

/// One doubt, worth a line at the start. Its text is `FIELD: DOUBT`, and never holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    account: usize,
    /// A list of the account's, and which of its entries.
    list: &'static str,
    nth: usize,
    /// In pieces.
    doubt: [&'static str; 3],
}

impl Warning {
    /// The field's place, as errors name it: `accounts[0].secrets[1]`.
    #[must_use]
    pub fn field(&self) -> String {
        format!("accounts[{}].{}[{}]", self.account, self.list, self.nth)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field())?;
        f.write_str(": ")?;
        self.doubt.iter().try_for_each(|piece| f.write_str(piece))
    }
}

/// Looks at a secret of an account's, each numbered from 0. `drops_newline`: its source drops one newline at the end.
pub(super) fn of_secret(found: &mut Vec<Warning>, place: [usize; 2], secret: &Secret, drops_newline: bool) {
    let [account, nth] = place;
    let mut add = |doubt| found.push(Warning { account, list: "secrets", nth, doubt });
    let mut edge = |edge, byte, newline| {
        let mark = match byte {
            Some(b'"' | b'\'') => "quotation mark",
            Some(b' ' | b'\t') => "blank",
            Some(b'\n' | b'\r') => newline,
            // The first byte of one, and no character of its own.
            Some(0xef) if secret.bytes().starts_with(b"\xef\xbb\xbf") => "byte-order mark",
            _ => return,
        };
        add([edge, mark, ", which is taken as part of the secret"]);
    };
    edge("begins with a ", secret.bytes().first().copied(), "newline");
    edge("ends with a ", secret.bytes().last().copied(), if drops_newline { "second newline" } else { "newline" });
    if secret.is_short() {
        add(["shorter than 32 bytes, which RFC 7518 asks for", "", ""]);
    }
}

/// Looks at an application of an account's.
pub(super) fn of_application(found: &mut Vec<Warning>, place: [usize; 2], id: &str) {
    let [account, nth] = place;
    if id.bytes().any(|byte| byte == b',') {
        let doubt = ["has a comma, which separates nothing: give each application a word of its own", "", ""];
        found.push(Warning { account, list: "applications", nth, doubt });
    }
}
