//! The query against what others make of it: a reader of forms, and a writer of JSON.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use secure_callbacks_support::token::payload_hash;

use super::{MISMATCH, PayloadCheck, RequestLine, parse_payload_hash, query};
use crate::code::Rejection;

/// The pairs as one compact object, by serde_json.
fn object<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let text = |text| serde_json::to_string(text).unwrap();
    let members: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
    format!("{{{}}}", members.join(","))
}

fn hash_of(json: &str) -> [u8; 32] {
    parse_payload_hash(&payload_hash(json.as_bytes())).unwrap()
}

/// Characters of every kind that a text may hold.
fn text() -> impl Strategy<Value = String> {
    "[ a-zA-Z0-9!#-\\[\\]-~&=%+;/?\u{7f}\u{e9}\u{2028}\u{9375}\u{1f4de}]{0,12}"
}

/// How one character of a text is written: `0` as it is where that may be, else percent-encoded.
fn written(text: &str, ways: &[u8]) -> String {
    let mut written = String::new();
    for (byte, way) in text.bytes().zip(ways.iter().cycle()) {
        let alone = byte.is_ascii_alphanumeric() || b"-._~!$'()*,:@/?".contains(&byte);
        written += &match way % 3 {
            0 if alone => String::from(char::from(byte)),
            1 => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        };
    }
    written
}

/// What queries are made of, and what they are broken with.
fn piece() -> impl Strategy<Value = &'static [u8]> {
    let pieces: &[&[u8]] = &[
        b"a",
        b"b",
        b"=",
        b"=",
        b"&",
        b"a=1",
        b"&b=",
        b"%41",
        b"%61",
        b"%C3%A9",
        b"%c3",
        b"%A9",
        b"%",
        b"%4",
        b"%zz",
        b"+",
        b";",
        b"#",
        b"?",
        b"%22",
        b"%5C",
        b"%00",
        b"%7F",
        b" ",
        b"\"",
        b"\\",
        b"\xc3\xa9",
        b"\xff",
        b"%ED%A0%80",
    ];
    prop::sample::select(pieces)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// However a query is encoded, it is hashed as serde_json writes its pairs.
    #[test]
    fn texts_are_hashed_as_serde_json_writes_them(
        pairs in prop::collection::vec((text(), text()), 1..8),
        ways in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut known = BTreeSet::new();
        let pairs: Vec<_> = pairs.iter().filter(|(name, _)| !name.is_empty() && known.insert(name)).collect();
        prop_assume!(!pairs.is_empty());
        let parts: Vec<_> = pairs.iter().map(|(a, b)| format!("{}={}", written(a, &ways), written(b, &ways))).collect();
        let due = object(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        prop_assert_eq!(query::hash(parts.join("&").as_bytes()), Some(hash_of(&due)), "{}", due);
    }

    /// Whatever comes: what is hashed at all is what a reader of forms makes of it, and has each name once.
    #[test]
    fn what_is_hashed_is_read_in_one_way(pieces in prop::collection::vec(piece(), 0..12)) {
        let query = pieces.concat();
        if let Some(hash) = query::hash(&query) {
            let pairs: Vec<_> = form_urlencoded::parse(&query).collect();
            let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
            prop_assert_eq!(names.len(), pairs.len());
            let due = object(pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
            prop_assert_eq!(hash, hash_of(&due), "{}", due);
        }
    }

    /// Bytes of no kind do any harm.
    #[test]
    fn any_bytes(query in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = query::hash(&query);
    }
}

#[test]
fn what_is_not_known_has_no_hash() {
    for known in ["a=1", "a=", "a=b=c", "a=b?c", "%61=%2B", "a=%26b%3D", "a=%E2%80%A8", "a=1&A=1&%41b=", "a=/:@!$'()*,"]
    {
        assert!(query::hash(known.as_bytes()).is_some(), "{known}");
    }
    let unknown: [&[u8]; 36] = [
        b"",
        b"a",
        b"=",
        b"=a",
        b"&",
        b"a=1&",
        b"&a=1",
        b"a=1&&b=2",
        b"a=1&b",
        b"a=1&=",
        b"a=1&a=1",
        b"a=1&%61=2",
        b"a=+",
        b"+=a",
        b"a=;",
        b"a=#",
        b"a= ",
        b"a=\"",
        b"a=\\",
        b"a=<",
        b"a=[",
        b"a={",
        b"a=|",
        b"a=^",
        b"a=`",
        b"a=\x7f",
        b"a=\n",
        b"a=\xc3\xa9",
        b"a=%",
        b"a=%1",
        b"a=%g0",
        b"a=%+1",
        b"a=%22",
        b"a=%5c",
        b"a=%1f",
        b"a=%C3&b=%A9",
    ];
    for query in unknown {
        assert_eq!(query::hash(query), None, "{}", String::from_utf8_lossy(query));
    }
}

#[test]
fn as_many_parameters_as_are_compared() {
    let query = |count: usize| (0..count).map(|n| format!("n{n}=")).collect::<Vec<_>>().join("&");
    assert!(query::hash(query(64).as_bytes()).is_some());
    assert_eq!(query::hash(query(65).as_bytes()), None);
}

#[test]
fn only_of_a_get_and_only_where_a_hash_is_asked_for() {
    let hash = hash_of(r#"{"a":"1"}"#);
    let line = |method, target| Some(RequestLine { method, target });
    let check = |expected, line| {
        let mut check = PayloadCheck::new(10, expected);
        check.take_query(line).map(|()| check)
    };
    // A GET: its query counts, and no body may follow.
    let mut good = check(Some(hash), line(b"GET", b"/x?a=1")).unwrap();
    assert_eq!((good.check_length(0), good.check_length(1)), (Ok(()), Err(MISMATCH)));
    assert_eq!((good.update(b""), good.update(b"a=1")), (Ok(()), Err(MISMATCH)));
    assert_eq!(check(Some(hash), line(b"GET", b"/x?a=1")).unwrap().finish(), Ok(()));
    for target in [b"/x?a=2".as_slice(), b"/x?", b"/x", b"", b"/x??a=1", b"a=1"] {
        assert_eq!(check(Some(hash), line(b"GET", target)).map(drop), Err(MISMATCH), "{target:?}");
    }
    // Another method, in whatever case: its body counts.
    for method in [b"POST".as_slice(), b"HEAD", b"get", b"GETS", b"GET ", b""] {
        let mut other = check(Some(hash), line(method, b"/x?a=1")).unwrap();
        assert_eq!(other.check_length(11).map_err(|reason| reason.rejection), Err(Rejection::BodyTooLarge));
        other.update(br#"{"a":"1"}"#).unwrap();
        assert_eq!(other.finish(), Ok(()), "{method:?}");
    }
    // A host that does not say.
    assert_eq!(check(Some(hash), None).map(drop), Err(MISMATCH));
    // Nothing is asked of the payload.
    for nobody_asks in [None, line(b"GET", b"/x?a=+")] {
        let mut ignored = check(None, nobody_asks).unwrap();
        assert_eq!((ignored.update(b"body"), ignored.finish()), (Ok(()), Ok(())));
    }
}
