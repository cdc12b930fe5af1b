//! Configuration files with `{{names}}` in them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// The values for the names.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// Fills a template. A value of several lines takes the place of a whole line.
///
/// # Errors
/// A name that has no value.
pub(crate) fn fill(template: &str, values: &Values) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").context("a `{{` without its `}}`")?;
        let Some(value) = values.get(name) else { bail!("there is no value for {{{{{name}}}}}") };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Every line moved to the right.
pub(crate) fn indent(text: &str, columns: usize) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("{:columns$}{line}", "")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_unknown_ones_refused() {
        let values = Values::from([("port", "8080".into())]);
        assert_eq!(fill("listen {{port}}; # {{port}}", &values).unwrap(), "listen 8080; # 8080");
        assert!(fill("{{other}}", &values).is_err());
        assert!(fill("{{port", &values).is_err());
    }

    #[test]
    fn a_snippet_keeps_its_own_indentation() {
        assert_eq!(indent("a:\n  b: c", 2), "  a:\n    b: c");
    }
}
