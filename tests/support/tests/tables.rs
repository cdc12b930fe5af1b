//! The tables themselves: they can be read, every row can be rendered for every host, and slips are named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A test stops at the first surprise.

use std::collections::BTreeSet;

use secure_callbacks_support::{Host, load, load_from, nginx_block};

#[test]
fn every_row_says_something_of_its_own() {
    let vectors = load().unwrap_or_else(|error| panic!("{error}"));
    assert!(vectors.rows.len() >= 110, "{} rows", vectors.rows.len());
    let used: BTreeSet<_> = vectors.rows.iter().map(|row| row.policy.as_str()).collect();
    let unused: Vec<_> = vectors.policies.keys().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "policies of no row: {unused:?}");
    for row in &vectors.rows {
        let [first, second] = ["one", "two"].map(|id| row.render(1_700_000_000, id));
        assert_eq!(first.path.split('?').next(), Some("/callbacks/one"));
        assert_eq!(first.headers, row.render(1_700_000_000, "one").headers, "{}: not repeatable", row.name);
        assert!(first.token.is_none() || first.jti() != second.jti(), "{}: the jti is not fresh", row.name);
        for host in Host::ALL {
            if let Ok(case) = row.expect_for(host) {
                let filled = first.fill(&case.expect);
                assert_eq!(
                    filled.forwarded(),
                    filled.upstream_headers.contains_key("x-callback-verified"),
                    "{}",
                    row.name
                );
            }
        }
    }
    for (name, policy) in &vectors.policies {
        let block = nginx_block(name, policy);
        assert!(block.contains("    account a1b2c3d ") && block.ends_with(";\n}\n"), "{block}");
    }
}

#[test]
fn a_slip_names_its_file_and_row() {
    let valid = r#""name": "x", "why": "y", "expect": { "code": "accepted", "status": 200 }"#;
    for (table, problem) in [
        (format!(r#"{{ "rows": [{{ {valid}, "polici": "default" }}] }}"#), "slips.json: row x: unknown field `polici`"),
        (format!(r#"{{ "rows": [{{ {valid}, "policy": "none" }}] }}"#), "slips.json: row x: no policy \"none\""),
        (format!(r#"{{ "rows": [{{ {valid} }}, {{ {valid} }}] }}"#), "slips.json: row x: the name is taken"),
        (
            format!(r#"{{ "rows": [{{ {valid}, "request": {{ "token": {{ "header_value": "${{x}}" }} }} }}] }}"#),
            "unknown placeholder",
        ),
        (format!(r#"{{ "rows": [{{ {valid}, "request": {{ "framing": "none" }} }}] }}"#), "can't carry a body"),
        (format!(r#"{{ "rows": [{{ {valid}, "hosts": {{ "nginx": {{}} }} }}] }}"#), "give `skip` with a reason"),
        (
            format!(r#"{{ "rows": [{{ {valid}, "hosts": {{ "nginx": {{ "why": "z" }} }} }}] }}"#),
            "give `skip` with a reason",
        ),
        (
            r#"{ "rows": [{ "name": "x", "why": "y", "expect": { "code": null, "status": 400 }, "meanwhile": { "code": null, "status": 400 } }] }"#.into(),
            "slips.json: row x: meanwhile: the first sending is not forwarded",
        ),
        (r#"{ "rows": [{}] }"#.into(), "slips.json: row #1: missing field `name`"),
    ] {
        let folder = std::env::temp_dir().join(format!("secure-callbacks-tables-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let policies = r#"{ "default": { "accounts": [{ "api_key": "a1b2c3d", "secrets": ["text:secret"] }] } }"#;
        std::fs::write(folder.join("policies.json"), policies).unwrap();
        std::fs::write(folder.join("slips.json"), &table).unwrap();
        let error = load_from(&folder).expect_err(&table).to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains(problem), "{table}: {error}");
    }
}
