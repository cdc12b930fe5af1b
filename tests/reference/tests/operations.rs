//! What `docs/operations.md` says and no proxy is needed for. Its commands and its files are tried in `tests/operations`.
#![allow(missing_docs, clippy::expect_used, reason = "test-only code")]

use std::collections::BTreeSet;

use secure_callbacks::Code;

const PAGE: &str = include_str!("../../../docs/operations.md");

#[test]
fn every_code_has_a_row() {
    let table = PAGE.split("| code | usual cause | do |\n").nth(1).expect("the table of codes");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let firsts = rows.filter_map(|row| row.split('|').nth(1));
    // A row may be about several codes.
    let codes: Vec<_> = firsts.flat_map(|cell| cell.split(',').map(|code| code.trim().trim_matches('`'))).collect();
    let named: BTreeSet<_> = codes.iter().copied().collect();
    assert_eq!(named, Code::all().map(Code::as_str).collect());
    assert_eq!(named.len(), codes.len(), "a code has two rows");
}
