//! The proxies as their users run them: in containers, on networks of their own, with something that cuts, kills and
//! restarts.
//!
//! `containers demo [--keep]` sends the demo's table over mutual TLS; `containers test` adds the vectors' main rows and
//! the faults, and the example for newcomers; `containers example` is that alone. `cargo xtask demo --docker` and `cargo xtask test --docker` build what is needed and start this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod engine;
mod example;
mod faults;
mod report;
mod scenarios;
mod site;
mod tables;
mod tally;

use anyhow::{Result, bail};
use report::Report;
use site::Site;
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: containers demo [--keep] | containers test | containers example";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Demo { keep: bool },
    Test,
    Example,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let run = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => Run::Demo { keep: false },
        ["demo", "--keep"] => Run::Demo { keep: true },
        ["test"] => Run::Test,
        ["example"] => Run::Example,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match whole(run).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("docker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// All of it. Whatever happens, also an interruption, nothing is left running.
async fn whole(run: Run) -> Result<bool> {
    let site = Site::new().await?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let outcome = tokio::select! {
        outcome = in_containers(&site, run) => outcome,
        _ = interrupt.recv() => interrupted(run),
        _ = terminate.recv() => interrupted(run),
    };
    let down = site.down().await.and(example::down().await);
    let good = outcome?;
    down?;
    Ok(good)
}

/// How `--keep` ends; anything else is cut short.
fn interrupted(run: Run) -> Result<bool> {
    println!("stopping the containers");
    if run == (Run::Demo { keep: true }) { Ok(true) } else { bail!("interrupted") }
}

async fn in_containers(site: &Site, run: Run) -> Result<bool> {
    let start = Instant::now();
    let mut report = Report::default();
    if !matches!(run, Run::Demo { .. }) {
        report.checks += example::run(&mut report.wrong).await?;
    }
    if run == Run::Example {
        report.close("example in containers");
        return Ok(report.wrong.is_empty());
    }
    site.up().await?;
    println!("containers: up and healthy after {} s", start.elapsed().as_secs());
    let outcome = checks(site, run, &mut report).await;
    if !report.wrong.is_empty() {
        site.keep_logs().await;
        println!("what the containers said is in target/docker/logs");
    }
    if run == Run::Test && outcome.is_ok() {
        report.write(start.elapsed())?;
    }
    report.close(if run == Run::Test { "docker" } else { "demo in containers" });
    outcome?;
    if run == (Run::Demo { keep: true }) {
        site.print_kept();
        // Until Ctrl-C: the containers end with this program.
        std::future::pending::<()>().await;
    }
    Ok(report.wrong.is_empty())
}

async fn checks(site: &Site, run: Run, report: &mut Report) -> Result<()> {
    report.images = site.images().await?;
    for image in &report.images {
        println!("  {image}");
    }
    report.checks += tables::hardened(site, &mut report.wrong).await?;
    report.checks += tables::demo(site, &mut report.wrong).await?;
    if run == Run::Test {
        report.checks += tables::rows(site, &mut report.wrong).await?;
        for slot in scenarios::all() {
            report.add(scenarios::run(site, slot).await?);
        }
    }
    Ok(())
}
