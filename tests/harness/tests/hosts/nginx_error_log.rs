//! `nginx -t` tells of protected locations whose error log would hide what is refused there.
use crate::nginx::policy_block;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::proxy::{self, Directory, nginx};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::token::SECRET;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("an_error_log_that_hides_refusals_warns", move || ROWS.iter().try_for_each(|row| row.check(kind)));
}

/// What stands before the block `http`, in its server, and behind the block; and the locations that are named.
struct Row(&'static str, &'static str, &'static str, &'static [&'static str]);

const PROTECTED: &str = "location /callbacks/ { secure_callbacks video; return 200; }";
const SAYS_WARN: &str = "error_log own.log warn; location /callbacks/ { secure_callbacks video; return 200; }";
const IN_LOCATION: &str = "location /callbacks/ { secure_callbacks video; error_log own.log; return 200; }";
const TWO_LOGS: &str =
    "location /callbacks/ { secure_callbacks video; error_log a.log crit; error_log b.log info; return 200; }";
const NESTED: &str = "secure_callbacks video;
    location /a/ { location /a/b/ { return 200; } if ($http_x) { return 403; } limit_except POST { deny all; } }
    location ~ ^/c { return 200; }
    location @d { return 200; }";
const SEVERAL: &str = "
    location /a/ { secure_callbacks video; return 200; }
    location /b/ { secure_callbacks trial; return 200; }
    location /c/ { secure_callbacks trial; error_log own.log notice; return 200; }";
const NONE: &str = "location /open/ { return 200; }
    location /callbacks/ { secure_callbacks video; error_log own.log warn; location /callbacks/off/ { secure_callbacks off; error_log b.log; } }";

const ROWS: [Row; 15] = [
    Row("error_log error.log;", PROTECTED, "", &["/callbacks/"]),
    Row("error_log error.log error;", PROTECTED, "", &["/callbacks/"]),
    Row("error_log error.log crit;", PROTECTED, "", &["/callbacks/"]),
    Row("", PROTECTED, "", &["/callbacks/"]),
    Row("error_log error.log warn;", PROTECTED, "", &[]),
    Row("error_log error.log notice;", PROTECTED, "", &[]),
    Row("error_log error.log; error_log stderr warn;", PROTECTED, "", &[]),
    Row("error_log syslog:server=127.0.0.1 warn;", PROTECTED, "", &[]),
    // The last word on the level may come after everything that inherits it.
    Row("", PROTECTED, "error_log error.log warn;", &[]),
    Row("error_log error.log;", SAYS_WARN, "", &[]),
    Row("error_log error.log warn;", IN_LOCATION, "", &["/callbacks/"]),
    Row("error_log error.log;", TWO_LOGS, "", &[]),
    Row("error_log error.log;", NESTED, "", &["/"]),
    Row("error_log error.log;", SEVERAL, "", &["/a/", "/b/"]),
    Row("error_log error.log;", NONE, "", &[]),
];

impl Row {
    fn check(&self, kind: ProxyKind) -> Result<()> {
        let Self(before, server, behind, due) = self;
        let trial =
            format!("    secure_callbacks_policy trial {{ mode report; account a1b2c3d secret=text:{SECRET}; }}\n");
        let policies = policy_block() + if server.contains("trial") { &trial } else { "" };
        let http = policies + &format!("    server {{ listen 127.0.0.1:1; {server} }}\n");
        let config = nginx::config(Some(&tools::find(kind)?.filter), &[], &http);
        let level = "error_log error.log notice;";
        ensure!(config.contains(level), "the harness's configuration has another level: {config}");
        let config = config.replace(level, before) + behind + "\n";
        let outcome = proxy::check_nginx(kind, &Directory::new("check")?, &config, &Vec::new())?;
        ensure!(outcome.success, "it is a warning, not an error: {}", outcome.output);
        let said = outcome.output.lines().filter(|line| line.contains("[warn]"));
        let warned: Vec<_> = said.filter(|line| line.contains("are not logged")).collect();
        let as_due = warned.len() == due.len()
            && due.iter().all(|location| warned.iter().any(|line| line.contains(&format!("location {location}"))));
        let place = || warned.iter().all(|line| line.contains("nginx.conf:") && line.contains("error_log"));
        (as_due && place()).then_some(()).with_context(|| {
            format!("{before:?}, {server:?}, {behind:?}: due for {due:?}, but nginx -t says:\n{}", outcome.output)
        })
    }
}
