//! A policy with something wrong in it stops the start, and says what and where. Secrets come from where they may.
use crate::bad_policies::{ACCOUNT, Wrong, table};
use crate::common::policy;
use crate::nginx::PROTECTED;
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::{self, Directory, Environment, Outcome, envoy, free_port, nginx};
use secure_callbacks_harness::running::{Envoy, Nginx, Running};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::merged;
use secure_callbacks_support::token::SECRET;
use serde_json::{Value, json};

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    for (index, row) in table().into_iter().enumerate() {
        let name = format!("{}_stops_the_start", row.name);
        if kind.is_nginx() {
            tests.add(name, move || nginx_stops(kind, &row));
        } else {
            let form = if index % 2 == 0 { envoy::Form::Struct } else { envoy::Form::Text };
            tests.add(name, move || envoy_stops(&row, form));
        }
    }
    if kind.is_nginx() {
        tests.add("a_policy_s_lines_from_an_included_file", move || included(kind));
    }
    tests.add("a_good_policy_passes_the_check", move || good_passes(kind));
    for (name, end) in [
        ("a_secret_from_the_environment", ""),
        ("a_secret_from_the_environment_with_a_newline", "\n"),
        ("a_secret_from_the_environment_with_a_carriage_return_and_a_newline", "\r\n"),
    ] {
        tests.add(name, move || secret_from_environment(kind, end));
    }
    if kind.is_nginx() {
        tests.add("a_secret_from_a_file", move || secret_from_file(kind));
        tests.add("a_missing_secret_file_stops_the_start", move || missing_file(kind));
        tests.add("an_unknown_policy_name_stops_the_start", move || unknown_policy(kind));
    } else {
        if kind == ProxyKind::Envoy {
            tests.add("a_file_secret_is_refused_naming_env", file_in_envoy);
        }
        tests.add("no_configuration_stops_the_start", no_configuration);
        tests.add("a_configuration_that_is_no_object_stops_the_start", no_object);
    }
}

fn nginx_stops(kind: ProxyKind, row: &Wrong) -> Result<()> {
    let policy = format!("    secure_callbacks_policy bad {{ {} }}\n", row.nginx.replace('@', ACCOUNT));
    let outcome = check_nginx(kind, &policy, "bad")?;
    ensure!(!outcome.success, "nginx -t is content with it: {}", outcome.output);
    let line = outcome.output.lines().find(|line| line.contains("[emerg]")).unwrap_or_default();
    ensure!(line.contains(row.named), "no {:?} in {line:?}", row.named);
    // nginx ends such messages with the file and the line.
    let (_, place) = line.split_once("nginx.conf:").unwrap_or_default();
    ensure!(place.starts_with(|digit: char| digit.is_ascii_digit()), "no file and line in {line:?}");
    no_secret(&outcome)
}

fn envoy_stops(row: &Wrong, form: envoy::Form) -> Result<()> {
    let outcome = check_envoy(envoy::filter(&merged(policy(), &row.json), form, &[]))?;
    ensure!(!outcome.success, "envoy --mode validate is content with it: {}", outcome.output);
    ensure!(outcome.output.contains(row.named), "no {:?} in:\n{}", row.named, outcome.output);
    no_secret(&outcome)
}

fn no_secret(outcome: &Outcome) -> Result<()> {
    for secret in [SECRET, "the-first-signature-secret", "the-second-signature-secret"] {
        ensure!(!outcome.output.contains(secret), "a secret is in the message: {}", outcome.output);
    }
    Ok(())
}

pub(crate) fn check_nginx(kind: ProxyKind, policies: &str, used: &str) -> Result<Outcome> {
    let module = tools::find(kind)?.filter;
    let server =
        format!("    server {{ listen 127.0.0.1:1; location / {{ secure_callbacks {used}; return 200; }} }}\n");
    let config = nginx::config(Some(&module), &[], &format!("{policies}{server}"));
    proxy::check_nginx(kind, &Directory::new("check")?, &config, &Vec::new())
}

pub(crate) fn check_envoy(filter: Value) -> Result<Outcome> {
    tools::find(ProxyKind::Envoy)?;
    let anywhere = free_port()?;
    let listener = envoy::Listener::new(anywhere, anywhere, filter);
    proxy::check_envoy(&Directory::new("check")?, &[listener], &Vec::new())
}

/// The control: the same check says yes when nothing is wrong.
fn good_passes(kind: ProxyKind) -> Result<()> {
    let outcome = if kind.is_nginx() {
        check_nginx(kind, &format!("    secure_callbacks_policy good {{ {ACCOUNT} }}\n"), "good")?
    } else {
        check_envoy(envoy::filter(&policy(), envoy::Form::Struct, &[]))?
    };
    ensure!(outcome.success, "{}", outcome.output);
    Ok(())
}

/// `end` stands behind the secret, as in a variable that was made from a file.
fn secret_from_environment(kind: ProxyKind, end: &str) -> Result<()> {
    let environment = vec![("VIDEO_SECRET".to_owned(), format!("{SECRET}{end}"))];
    let running = if kind.is_nginx() {
        nginx_with(kind, "account a1b2c3d secret=env:VIDEO_SECRET;", environment, &[])?
    } else {
        let policy = json!({ "accounts": [{ "api_key": "a1b2c3d", "secrets": ["env:VIDEO_SECRET"] }] });
        let filter = envoy::filter(&policy, envoy::Form::Struct, &["VIDEO_SECRET"]);
        Envoy { environment, ..Envoy::new([filter])? }.start()?
    };
    one_is_accepted(&running)
}

fn secret_from_file(kind: ProxyKind) -> Result<()> {
    let with_newline = format!("{SECRET}\n");
    one_is_accepted(&nginx_with(kind, "account a1b2c3d secret=file:secret;", Vec::new(), &[("secret", &with_newline)])?)
}

/// An `include` in the block is nginx's own: of a file, or of all that a pattern matches.
fn included(kind: ProxyKind) -> Result<()> {
    let account = format!("account a1b2c3d secret=text:{SECRET};\n");
    let files = [("account-one.conf", account.as_str()), ("more.conf", "expose_reason on;\n")];
    one_is_accepted(&nginx_with(kind, "include account-*.conf; include more.conf;", Vec::new(), &files)?)?;
    // What is wrong in one is told with its own name and line.
    let directory = Directory::new("check")?;
    directory.write("bad.conf", "\nmode audit;\n")?;
    let module = tools::find(kind)?.filter;
    let block = format!("    secure_callbacks_policy bad {{ {ACCOUNT} include bad.conf; }}\n");
    let outcome = proxy::check_nginx(kind, &directory, &nginx::config(Some(&module), &[], &block), &Vec::new())?;
    ensure!(!outcome.success && outcome.output.contains("bad.conf:2"), "{}", outcome.output);
    Ok(())
}

fn missing_file(kind: ProxyKind) -> Result<()> {
    let policy = "    secure_callbacks_policy bad { account a1b2c3d secret=file:/no/such/secret; }\n";
    let outcome = check_nginx(kind, policy, "bad")?;
    ensure!(!outcome.success && outcome.output.contains("secrets[0]"), "{}", outcome.output);
    Ok(())
}

fn unknown_policy(kind: ProxyKind) -> Result<()> {
    let outcome = check_nginx(kind, &format!("    secure_callbacks_policy good {{ {ACCOUNT} }}\n"), "nosuch")?;
    ensure!(!outcome.success && outcome.output.contains("nosuch"), "{}", outcome.output);
    Ok(())
}

fn file_in_envoy() -> Result<()> {
    let mut policy = policy();
    policy["accounts"][0]["secrets"] = json!(["file:/etc/hostname"]);
    let outcome = check_envoy(envoy::filter(&policy, envoy::Form::Struct, &[]))?;
    ensure!(!outcome.success, "accepted: {}", outcome.output);
    ensure!(outcome.output.contains("env:") && outcome.output.contains("secret"), "{}", outcome.output);
    Ok(())
}

fn no_configuration() -> Result<()> {
    let mut filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    *envoy::configuration_of(&mut filter) = Value::Null;
    let outcome = check_envoy(filter)?;
    ensure!(!outcome.success, "accepted: {}", outcome.output);
    Ok(())
}

fn no_object() -> Result<()> {
    for policy in [json!([]), json!("video"), json!(null)] {
        let outcome = check_envoy(envoy::filter(&policy, envoy::Form::Text, &[]))?;
        ensure!(!outcome.success, "{policy} is accepted: {}", outcome.output);
    }
    Ok(())
}

/// An nginx whose policy has these lines, with these files in its directory.
fn nginx_with(kind: ProxyKind, lines: &str, environment: Environment, files: &[(&str, &str)]) -> Result<Running> {
    let mut nginx = Nginx::new(kind, "", PROTECTED)?;
    for (name, content) in files {
        nginx.directory.write(name, content)?;
    }
    let lines = lines.replace("file:", &format!("file:{}/", nginx.directory.path().display()));
    nginx.http = format!("    secure_callbacks_policy video {{ {lines} }}\n");
    Nginx { environment, ..nginx }.start()
}

fn one_is_accepted(running: &Running) -> Result<()> {
    running.accepts(&Callback::new(), 1)?;
    ensure!(!running.proxy.log().contains(SECRET), "the secret is in the log");
    Ok(())
}
