//! What a policy is warned of when it is read: taken as it is written, and probably not what was meant.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // A test may stop.

use secure_callbacks::policy::{Line, line_of};
use secure_callbacks::{PolicyConfig, SecretProblem, SecretSource};

/// A source whose every secret is this one.
struct Everywhere<'s>(&'s str);

impl SecretSource for Everywhere<'_> {
    fn environment(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Ok(self.0.into())
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Ok(self.0.into())
    }
}

/// Two variables.
struct Environment;

impl SecretSource for Environment {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        let secret = if name == "SHORT" { "12345678" } else { "0123456789abcdef0123456789abcdef" };
        Ok(secret.into())
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Err(SecretProblem::FilesUnsupported)
    }
}

/// What is warned of in a policy, in one text.
fn warned(config: PolicyConfig, secrets: &dyn SecretSource) -> String {
    let policy = config.resolve(secrets).unwrap();
    policy.warnings().iter().map(|warning| format!("{warning}\n")).collect()
}

#[test]
fn a_secret_that_is_probably_not_what_was_meant_is_warned_of() {
    let long = "0123456789abcdef0123456789abcdef";
    let part = ", which is taken as part of the secret";
    for (before, after, doubts) in [
        ("", "", vec![]),
        ("", "\n", vec![]),
        ("\"", "\"", vec!["begins with a quotation mark", "ends with a quotation mark"]),
        ("'", "'\n", vec!["begins with a quotation mark", "ends with a quotation mark"]),
        (" ", "", vec!["begins with a blank"]),
        ("", "\t", vec!["ends with a blank"]),
        ("", " \r\n", vec!["ends with a blank"]),
        ("", "\n\n", vec!["ends with a second newline"]),
        ("", "\r\n\r\n", vec!["ends with a second newline"]),
        ("\n", "", vec!["begins with a newline"]),
        ("\u{feff}", "", vec!["begins with a byte-order mark"]),
        ("\u{feff}\"", "", vec!["begins with a byte-order mark"]),
        // Other characters of the same first byte.
        ("\u{ff01}", "\u{ff01}", vec![]),
        ("", "a\"b", vec![]),
    ] {
        let secret = format!("{before}{long}{after}");
        for reference in ["env:NAME", "file:/path"] {
            let json = format!(r#"{{"accounts":[{{"api_key":"k","secrets":["{reference}"]}}]}}"#);
            let text = warned(PolicyConfig::from_json(&json).unwrap(), &Everywhere(&secret));
            let due: String = doubts.iter().map(|doubt| format!("accounts[0].secrets[0]: {doubt}{part}\n")).collect();
            assert_eq!(text, due, "{secret:?}");
        }
    }
    // Of a text nothing is dropped.
    let json = format!(r#"{{"accounts":[{{"api_key":"k","secrets":["text:{long}\n"]}}]}}"#);
    let text = warned(PolicyConfig::from_json(&json).unwrap(), &());
    assert_eq!(text, format!("accounts[0].secrets[0]: ends with a newline{part}\n"));
}

#[test]
fn warnings_name_the_place_and_no_value() {
    let json = r#"{"accounts":[
        {"api_key":"a","secrets":["env:GOOD","env:SHORT"],"applications":["one","two,three"]},
        {"api_key":"b","secrets":["text:'s3cret'"]}]}"#;
    let text = warned(PolicyConfig::from_json(json).unwrap(), &Environment);
    assert_eq!(
        text,
        "accounts[0].secrets[1]: shorter than 32 bytes, which RFC 7518 asks for\n\
         accounts[0].applications[1]: has a comma, which separates nothing: give each application a word of its own\n\
         accounts[1].secrets[0]: begins with a quotation mark, which is taken as part of the secret\n\
         accounts[1].secrets[0]: ends with a quotation mark, which is taken as part of the secret\n\
         accounts[1].secrets[0]: shorter than 32 bytes, which RFC 7518 asks for\n"
    );
    assert!(!text.contains("s3cret") && !text.contains("three"));
    let line = |text: &str| {
        let mut words = text.split(' ').map(String::from);
        Line { name: words.next().unwrap(), values: words.collect() }
    };
    let lines = ["mode report", "account a secret=env:GOOD", "account b secret=env:GOOD application=one,two"].map(line);
    let policy = PolicyConfig::from_lines("video", &lines).unwrap().resolve(&Environment).unwrap();
    let [warning] = policy.warnings() else { panic!("{:?}", policy.warnings()) };
    assert_eq!((warning.field().as_str(), line_of(&warning.field(), &lines)), ("accounts[1].applications[0]", Some(2)));
}
