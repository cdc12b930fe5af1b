//! A GET's query as Vonage hashes it: its parameters as one compact JSON object of texts, in their order.
//!
//! Its documents say no more than that. So a query is hashed only if it can be read in one way, and if its JSON can be
//! written in one way that needs no escape. With any other it is not known what was hashed, or the same JSON would stand
//! for queries that applications read differently: such a query fits no hash.

use alloc::vec::Vec;
use core::ops::Range;

use sha2::{Digest, Sha256};

/// Each name is compared with all before it. Vonage sends about six, and one for each SIP header that is passed on.
const MOST_PARAMETERS: usize = 64;

/// The hash of a query; `None`: it is not known what Vonage would hash.
pub(super) fn hash(query: &[u8]) -> Option<[u8; 32]> {
    json(query).map(|json| Sha256::digest(json).into())
}

/// A query without parameters has none: whether Vonage hashes `{}` then, or nothing, is not known.
fn json(query: &[u8]) -> Option<Vec<u8>> {
    let mut json = Vec::with_capacity(query.len());
    let mut names: Vec<Range<usize>> = Vec::new();
    for parameter in query.split(|byte| *byte == b'&') {
        let equals = parameter.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        let (name, value) = parameter.split_at(equals);
        json.push(if names.is_empty() { b'{' } else { b',' });
        let name = write_text(&mut json, name)?;
        let is_known = names.iter().any(|known| json.get(known.clone()) == json.get(name.clone()));
        if is_known || names.len() == MOST_PARAMETERS {
            return None;
        }
        names.push(name);
        json.push(b':');
        write_text(&mut json, value.get(1..)?)?;
    }
    json.push(b'}');
    // What stands between the texts is ASCII, so each of them is valid by itself.
    str::from_utf8(&json).is_ok().then_some(json)
}

/// Writes a part of the query, percent-decoded, between quotes; returns where it stands without them.
fn write_text(json: &mut Vec<u8>, mut rest: &[u8]) -> Option<Range<usize>> {
    json.push(b'"');
    let start = json.len();
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = match first {
            b'%' => {
                let (digits, behind) = behind.split_at_checked(2)?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                let [byte] = byte;
                (byte, behind)
            }
            plain if is_plain(*plain) => (*plain, behind),
            _ => return None,
        };
        // What JSON has to escape (RFC 8259 section 7).
        if byte < b' ' || byte == b'"' || byte == b'\\' {
            return None;
        }
        json.push(byte);
        rest = behind;
    }
    let end = json.len();
    json.push(b'"');
    Some(start..end)
}

/// What stands for itself in a query (RFC 3986 section 3.4), for whoever reads it: without `+`, which is a blank for some,
/// and `;`, which parts parameters for some.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$'()*,=:@/?".contains(&byte)
}
