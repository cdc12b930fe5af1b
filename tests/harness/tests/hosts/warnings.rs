//! What is taken as it is written and warned of: secrets with something around them, commas, a certificate that nobody is
//! asked for. Each once, with its place and without a value.
use crate::common::policy;
use crate::configuration::check_envoy;
use crate::nginx::policy_block;
use anyhow::{Result, ensure};
use secure_callbacks_harness::certificates::Authority;
use secure_callbacks_harness::proxy::{self, Directory, Outcome, envoy, nginx};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::token::SECRET;
use serde_json::json;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    if kind.is_nginx() {
        tests.add("doubtful_secrets_and_applications_warn", move || in_nginx(kind));
        let test = move || CERTIFICATES.iter().try_for_each(|row| row.check(kind));
        tests.add("a_certificate_that_nobody_is_asked_for_warns", test);
    } else {
        tests.add("doubtful_secrets_and_applications_warn", in_envoy);
    }
}

/// It is taken, and each of `due` is said once.
fn warned(outcome: &Outcome, due: &[&str]) -> Result<()> {
    ensure!(outcome.success, "it is a warning, not an error: {}", outcome.output);
    for due in due {
        let lines: Vec<_> = outcome.output.lines().filter(|line| line.contains(due)).collect();
        ensure!(lines.len() == 1, "{due:?} is said {} times:\n{}", lines.len(), outcome.output);
    }
    ensure!(!outcome.output.contains(SECRET), "a secret is in: {}", outcome.output);
    Ok(())
}

fn in_nginx(kind: ProxyKind) -> Result<()> {
    let directory = Directory::new("check")?;
    directory.write("one.secret", format!("\"{SECRET}\"\n"))?;
    directory.write("two.secret", format!("{SECRET}\n\n"))?;
    let http = "    secure_callbacks_policy video {
        account a secret=file:one.secret;
        account b secret=file:two.secret application=one,two;
    }
    server { listen 127.0.0.1:1; location / { secure_callbacks video; return 200; } }\n";
    let config = nginx::config(Some(&tools::find(kind)?.filter), &[], http);
    let line = |text: &str| config.lines().position(|line| line.contains(text)).unwrap_or_default() + 1;
    let (one, two) = (line("account a "), line("account b "));
    let outcome = proxy::check_nginx(kind, &directory, &config, &Vec::new())?;
    warned(
        &outcome,
        &[
            "accounts[0].secrets[0]: begins with a",
            "accounts[0].secrets[0]: ends with a",
            "accounts[1].applications[0]",
        ],
    )?;
    for (said, line) in
        [("begins with a quotation mark", one), ("ends with a second newline", two), ("has a comma", two)]
    {
        let is_there = |output: &str| output.contains(said) && output.ends_with(&format!("nginx.conf:{line}"));
        ensure!(outcome.output.lines().any(is_there), "no {said:?} at line {line}: {}", outcome.output);
    }
    Ok(())
}

fn in_envoy() -> Result<()> {
    let mut policy = policy();
    policy["accounts"][0]["secrets"] = json!([format!("text:{SECRET}"), format!("text: {SECRET}\n")]);
    policy["accounts"][0]["applications"] = json!(["one,two"]);
    let outcome = check_envoy(envoy::filter(&policy, envoy::Form::Struct, &[]))?;
    let due = [
        "accounts[0].secrets[1]: begins with a blank",
        "accounts[0].secrets[1]: ends with a newline",
        "accounts[0].applications[0]: has a comma",
    ];
    warned(&outcome, &due)
}

/// A server under the policy `wanted`, which asks for a certificate, and the places that are named.
struct Row(&'static str, &'static [&'static str]);

const CERTIFICATES: [Row; 9] = [
    Row("location /a/ { secure_callbacks wanted; return 200; }", &["/a/"]),
    Row("ssl_verify_client off; location /a/ { secure_callbacks wanted; return 200; }", &["/a/"]),
    Row("ssl_verify_client on; location /a/ { secure_callbacks wanted; return 200; }", &[]),
    Row("ssl_verify_client optional; location /a/ { secure_callbacks wanted; return 200; }", &[]),
    Row("ssl_verify_client optional_no_ca; location /a/ { secure_callbacks wanted; return 200; }", &[]),
    // Once for the line that says so, whatever inherits it.
    Row("secure_callbacks wanted; location /a/ { return 200; } location /b/ { return 200; }", &["the server"]),
    Row(
        "location /a/ { secure_callbacks wanted; if ($http_x) { return 403; } location /a/b/ { return 200; } }
         location /c/ { secure_callbacks wanted; return 200; }",
        &["/a/", "/c/"],
    ),
    Row("location /a/ { secure_callbacks video; return 200; }", &[]),
    Row("secure_callbacks off; location /a/ { return 200; }", &[]),
];

impl Row {
    fn check(&self, kind: ProxyKind) -> Result<()> {
        let Self(server, due) = self;
        let wanted =
            "account a1b2c3d secret=text:the-first-signature-secret-of-a1b2c3d; client_certificate dns_name=a.b;";
        let policies = policy_block() + &format!("    secure_callbacks_policy wanted {{ {wanted} }}\n");
        // Without its authority's file nginx takes no `ssl_verify_client on`.
        let directory = Directory::new("check")?;
        let authority = Authority::root("somebody");
        directory.write("authority.pem", authority.pem())?;
        let http =
            format!("{policies}    server {{ listen 127.0.0.1:1; ssl_client_certificate authority.pem; {server} }}\n");
        let config = nginx::config(Some(&tools::find(kind)?.filter), &[], &http);
        let outcome = proxy::check_nginx(kind, &directory, &config, &Vec::new())?;
        let due: Vec<_> = due.iter().map(|place| format!("asks for a client certificate in {place}, but")).collect();
        warned(&outcome, &due.iter().map(String::as_str).collect::<Vec<_>>())?;
        let said = outcome.output.lines().filter(|line| line.contains("asks for a client certificate")).count();
        ensure!(said == due.len(), "{server:?}: due for {due:?}, but nginx -t says:\n{}", outcome.output);
        Ok(())
    }
}
