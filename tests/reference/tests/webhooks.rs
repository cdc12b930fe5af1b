//! What `docs/webhooks.md` prints: its policies are good ones, and its query is one that every proxy takes.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "test-only code")]

use secure_callbacks::policy::{Line, PolicyConfig};
use secure_callbacks_support::token::payload_hash;

const PAGE: &str = include_str!("../../../docs/webhooks.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    PAGE.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// One line of an Nginx block, without what is said about it.
fn line(text: &str) -> Option<Line> {
    let mut words = text.split(';').next()?.split_whitespace().map(String::from);
    Some(Line { name: words.next()?, values: words.collect() })
}

/// What an Nginx block says, its secrets where Envoy has them.
fn from_block(block: &str) -> PolicyConfig {
    let (heading, lines) = block.split_once('\n').expect("a heading");
    let name = heading.split_whitespace().next().expect("a name");
    let lines = lines.split('}').next().expect("an end");
    let lines = lines.replace("file:secrets/archive", "env:ARCHIVE_SECRET");
    let lines = lines.replace("file:secrets/account", "env:ACCOUNT_SECRET");
    PolicyConfig::from_lines(name, &lines.lines().filter_map(line).collect::<Vec<_>>()).expect(block)
}

#[test]
fn the_policies_are_good_and_the_same_in_both_forms() {
    let [nginx] = blocks("nginx")[..] else { panic!("one block for nginx") };
    let nginx: Vec<_> = nginx.split("secure_callbacks_policy ").skip(1).map(from_block).collect();
    let envoy: Vec<_> = blocks("json").iter().map(|text| PolicyConfig::from_json(text).expect(text)).collect();
    assert_eq!(nginx.len(), 4);
    assert_eq!(format!("{nginx:#?}"), format!("{envoy:#?}"));
}

#[test]
fn the_query_is_that_of_the_vectors_with_its_json_and_its_hash() {
    let [example] = blocks("text")[..] else { panic!("one example") };
    let [request, json, hash] = example.trim().split("\n\n").collect::<Vec<_>>()[..] else { panic!("three parts") };
    let vectors = secure_callbacks_support::load().expect("the vectors");
    let row = vectors.rows.iter().find(|row| row.name == "query_genuine").expect("the row");
    let query = row.request.query.as_deref().expect("a query");
    assert_eq!(request, format!("GET /answer?{query}"));
    let signed = row.request.token.as_ref().and_then(|token| token.payload_hash_of.as_ref()).expect("what is signed");
    assert_eq!(json.as_bytes(), signed.bytes().expect("bytes"));
    assert_eq!(hash, format!("payload_hash {}", payload_hash(json.as_bytes())));
}
