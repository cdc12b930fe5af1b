//! `docs/configuration.md` against the schema and the reader.

use std::collections::BTreeMap;

use secure_callbacks::names::AccessLogValue;
use secure_callbacks::policy::{Line, PolicyConfig};
use serde_json::Value;

use crate::schema;

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// A row of a table of fields: its cells without the backquotes around a whole cell.
struct Row<'a> {
    field: &'a str,
    default: &'a str,
    line: &'a str,
}

/// The tables of fields, in their order.
fn tables() -> Vec<Vec<Row<'static>>> {
    let mut tables = Vec::new();
    for table in PAGE.split("| field | values | default |").skip(1) {
        // What is left of the heading, and the rule under it.
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let rows = rows.map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
            let [field, _, default, line] = cells[..] else { panic!("not four cells: {line}") };
            Row { field, default, line }
        });
        tables.push(rows.collect());
    }
    tables
}

/// The words of one line of an Nginx block.
fn line(text: &str) -> Line {
    let mut words = text.trim().trim_end_matches(';').split_whitespace().map(String::from);
    Line { name: words.next().expect("a name"), values: words.collect() }
}

/// The code blocks in `language`.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    PAGE.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn each_table_has_the_fields_of_the_schema_and_their_defaults() {
    let schema = schema::text();
    let objects = ["", "/properties/accounts/items", "/properties/client_certificate"]
        .map(|place| schema.pointer(place).expect(place));
    let tables = tables();
    assert_eq!(tables.len(), objects.len());
    for (table, object) in tables.iter().zip(objects) {
        let rows: BTreeMap<_, _> = table.iter().map(|row| (row.field, row)).collect();
        let properties = object["properties"].as_object().expect("properties");
        assert_eq!(rows.keys().copied().collect::<Vec<_>>(), properties.keys().collect::<Vec<_>>());
        let required = |name: &str| object["required"].as_array().is_some_and(|list| list.contains(&name.into()));
        for (name, property) in properties {
            let default = match property.get("default") {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None if required(name) => "required".into(),
                None => "absent".into(),
            };
            assert_eq!(rows[name.as_str()].default, default, "{name}");
            for value in property["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(PAGE.contains(&format!("`{value}`")), "{name}: `{value}` is not on the page");
            }
        }
    }
}

#[test]
fn each_line_for_nginx_is_one_and_sets_its_field() {
    let account = line("account k secret=env:SECRET");
    let bare = PolicyConfig::from_lines("p", std::slice::from_ref(&account)).expect("a good policy");
    for row in tables().remove(0).iter().filter(|row| row.line.ends_with(';')) {
        let line = line(row.line);
        assert!(row.field.starts_with(&line.name), "{} stands for {}", row.line, row.field);
        let lines = if row.field == "accounts" { vec![line] } else { vec![account.clone(), line] };
        let config = PolicyConfig::from_lines("p", &lines).unwrap_or_else(|error| panic!("{}: {error}", row.line));
        // `issuer` and `max_age` are shown with what they are by default; the others change something.
        let same = format!("{config:?}") == format!("{bare:?}");
        assert_eq!(same, ["issuer", "max_age"].contains(&row.field), "{}", row.line);
    }
}

#[test]
fn the_examples_are_good_policies() {
    let schema = schema::validator();
    for block in blocks("json") {
        let policy: Value = serde_json::from_str(block).expect("JSON");
        assert!(schema.is_valid(&policy), "{block}");
        PolicyConfig::from_json(block).expect(block);
    }
    for block in blocks("nginx") {
        let (heading, rest) = block.split_once('{').expect("a block");
        let lines: Vec<_> = rest.lines().filter(|text| text.trim().ends_with(';')).map(line).collect();
        let name = heading.split_whitespace().nth(1).expect("a name");
        PolicyConfig::from_lines(name, &lines).expect(block);
    }
    assert_eq!((blocks("json").len(), blocks("nginx").len()), (1, 1));
}

#[test]
fn the_parts_of_lines_are_those_of_the_reader() {
    let tables = tables();
    for (table, value) in tables[1..].iter().zip([
        |part: &str| format!("account k secret=env:SECRET {part}x:y"),
        |part: &str| format!("client_certificate {part}x"),
    ]) {
        for row in table.iter().filter(|row| row.line.ends_with('=')) {
            // Where the part is known, what is wrong is at most its value.
            let lines = [line("account other secret=env:SECRET"), line(&value(row.line))];
            if let Err(error) = PolicyConfig::from_lines("p", &lines) {
                assert!(error.field.contains(row.field), "{}: {error}", row.line);
                assert!(!error.to_string().contains("unknown"), "{}: {error}", row.line);
            }
        }
    }
}

#[test]
fn every_directive_of_the_module_is_on_the_page() {
    let module = include_str!("../../../../nginx/src/module.rs");
    let named = |text: &'static str| text.split('"').filter(|word| word.starts_with("secure_callbacks"));
    let directives: Vec<_> = named(module).map(|word| word.trim_end_matches("\\0")).collect();
    assert_eq!(directives.len(), 3, "{directives:?}");
    for directive in directives {
        assert!(PAGE.contains(&format!("| `{directive}` |")), "{directive}");
    }
}

#[test]
fn every_value_of_the_access_log_is_on_the_page() {
    for name in AccessLogValue::ALL.map(AccessLogValue::name) {
        for written in [format!("| `${name}` |"), format!("| `wasm.{name}` |")] {
            assert!(PAGE.contains(&written), "{written}");
        }
    }
}
