//! What Prometheus's own tool says, where it is installed (Debian: `apt install prometheus`).
use crate::runbook;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::tools::{self, ProxyKind};
use std::io::Write;
use std::process::{Command, Stdio};

/// Why its tests are left out, if they are.
pub(crate) fn missing() -> Option<&'static str> {
    let version = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_err().then_some("no promtool: it comes with the package prometheus")
}

/// The rules are well formed, fire when they should, and are quiet when they should.
pub(crate) fn rules() -> Result<()> {
    for (command, file) in [("check", "docs/alerts.yaml"), ("test", "tests/operations/rules/alerts_test.yaml")] {
        let output = Command::new("promtool").args([command, "rules"]).arg(tools::root().join(file)).output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "promtool {command} rules {file}: {said}");
    }
    Ok(())
}

/// `promtool check metrics` accepts what the proxy shows.
pub(crate) fn metrics(kind: ProxyKind) -> Result<()> {
    let site = runbook::enforcing(kind)?;
    let scraped = site.metrics()?;
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    check.stdin.take().context("its input")?.write_all(scraped.as_bytes())?;
    let output = check.wait_with_output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // Envoy has no help text for any metric. That is the only thing to say of it.
    let remarks: Vec<_> = said.lines().filter(|line| !(!kind.is_nginx() && line.ends_with("no help text"))).collect();
    ensure!(remarks.is_empty(), "{said}");
    ensure!(output.status.success() || !kind.is_nginx(), "{}", output.status);
    Ok(())
}
