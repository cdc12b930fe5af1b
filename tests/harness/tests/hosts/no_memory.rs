//! A table for whose size there is no memory stops the start: without it every callback would be refused.
use crate::common::policy;
use anyhow::{Result, ensure};
use secure_callbacks_harness::proxy::{Directory, envoy, free_port, nginx};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::{merged, nginx_block};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("a_table_without_memory_stops_the_start", move || stops(kind));
}

/// The largest table takes about 770 MiB.
fn large(name: &str) -> Value {
    merged(policy(), &json!({ "name": name, "replay_capacity": 16_777_216 }))
}

/// In Envoy there is room for one such table and not for two: its allocator takes a gibibyte at a time.
fn stops(kind: ProxyKind) -> Result<()> {
    let found = tools::find(kind)?;
    let directory = Directory::new("no-memory")?;
    let (arguments, kibibytes, said) = if kind.is_nginx() {
        let block = nginx_block("large", &large("large"));
        let server = "    server { listen 127.0.0.1:1; location / { secure_callbacks large; return 200; } }\n";
        let config = nginx::config(Some(&found.filter), &[], &format!("{block}\n{server}"));
        let config = directory.write("nginx.conf", config)?.display().to_string();
        let prefix = directory.path().display().to_string();
        let arguments = ["-t", "-p", &prefix, "-e", "error.log", "-c", &config].map(str::to_owned).to_vec();
        (arguments, 400_000, "failed (12: Cannot allocate memory)")
    } else {
        let mut listeners = Vec::new();
        for name in ["one", "other"] {
            let (anywhere, filter) = (free_port()?, envoy::filter(&large(name), envoy::Form::Struct, &[]));
            listeners.push(envoy::Listener::new(anywhere, anywhere, filter));
        }
        let config = envoy::bootstrap(free_port()?, Path::new("/dev/null"), &listeners).to_string();
        let config = directory.write("envoy.json", config)?.display().to_string();
        let arguments = ["--mode", "validate", "-l", "error", "-c", &config].map(str::to_owned).to_vec();
        (arguments, 2_800_000, "replay_capacity: there is no memory for so many callbacks")
    };
    let output = limited(&found.program, &arguments, kibibytes)?;
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(!output.status.success() && printed.contains(said), "{}: {printed}", output.status);
    Ok(())
}

/// Runs a program with no more than this much address space.
fn limited(program: &Path, arguments: &[String], kibibytes: u32) -> Result<Output> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {kibibytes} && exec \"$0\" \"$@\"")]).arg(program).args(arguments);
    shell.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", tools::target().join("dist"));
    Ok(shell.output()?)
}
