//! `cargo xtask test`: every check and every suite, one after the other, and one count at the end.
//!
//! A step that fails does not stop the rest. The real proxies come last, so that what is read first is what they say.

use std::env;
use std::time::{Duration, Instant};

use crate::build;
use crate::docker;
use crate::envoy;
use crate::nginx::Nginx;
use crate::package;
use crate::purity;
use crate::runner::{Count, ignored_test};
use crate::setup::{self, Part, WASM_TARGET};
use crate::sh::{self, Cmd, Result};

/// Set by somebody whose machine cannot have all parts: what they would run is then skipped and not failed.
const ALLOW_SKIP: &str = "SECURE_CALLBACKS_ALLOW_SKIP";

/// What a build of the module needs, for each of the two versions.
const SYSTEM_NGINX: [Part; 2] = [Part::Packages, Part::SystemNginx];
const BUILT_NGINX: [Part; 2] = [Part::Packages, Part::BuiltNginx];

/// One step of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The formatter.
    Fmt,
    /// Everything that builds and is tested with cargo alone.
    Unit,
    /// What the core may not reach.
    Purity,
    /// The linter, on every package as it is built.
    Clippy,
    /// The artifacts.
    Build,
    /// What an operator installs, made twice, and installed in a clean root.
    Packages,
    /// The runbook, as it is printed, and the alert rules.
    Operations,
    /// The proxies in containers, and what goes wrong around them.
    Docker,
    /// The vectors in the earlier releases of Envoy that the README names.
    Envoys,
    /// Real proxies with the artifacts in them.
    Proxies,
}

impl Step {
    /// Every step, in the order they run.
    pub(crate) const ALL: [Self; 10] = [
        Self::Fmt,
        Self::Purity,
        Self::Unit,
        Self::Clippy,
        Self::Build,
        Self::Packages,
        Self::Operations,
        Self::Docker,
        Self::Envoys,
        Self::Proxies,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Unit => "unit",
            Self::Purity => "purity",
            Self::Clippy => "clippy",
            Self::Build => "build",
            Self::Packages => "packages",
            Self::Operations => "operations",
            Self::Docker => "docker",
            Self::Envoys => "envoys",
            Self::Proxies => "proxies",
        }
    }

    fn needs(self, part: Part) -> bool {
        match self {
            Self::Fmt | Self::Purity | Self::Unit => false,
            Self::Clippy => matches!(part, Part::Wasm | Part::Packages | Part::SystemNginx),
            Self::Build => !matches!(part, Part::Envoy | Part::OlderEnvoys),
            Self::Docker => !matches!(part, Part::BuiltNginx | Part::OlderEnvoys) && docker::missing().is_none(),
            Self::Envoys => matches!(part, Part::Wasm | Part::OlderEnvoys),
            Self::Packages | Self::Operations | Self::Proxies => part != Part::OlderEnvoys,
        }
    }
}

/// What came of a part of a step.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// One line of the table.
struct Row {
    name: String,
    time: Duration,
    outcome: Outcome,
    count: Count,
    /// Tests that their runner did not run, with its reason where it gave one.
    ignored: Vec<String>,
}

/// Runs the steps; the answer is whether all went well. The last line says so already.
pub(crate) fn run(steps: &[Step]) -> bool {
    let mut report = Report::default();
    if Part::ALL.into_iter().any(|part| steps.iter().any(|step| step.needs(part))) {
        report.set_up(steps);
    }
    for step in Step::ALL.into_iter().filter(|step| steps.contains(step)) {
        match step {
            Step::Fmt => report.plain("fmt", || Cmd::cargo(["fmt", "--all", "--check"]).shown()),
            Step::Purity => report.plain("purity", purity::check),
            Step::Unit => {
                report.tests("tests of the core, the filter and their support", &["test"]);
                report.tests("tests of xtask", &["test", "-p", "xtask"]);
            }
            Step::Clippy => clippy(&mut report),
            Step::Build => artifacts(&mut report),
            Step::Docker => containers(&mut report),
            Step::Packages => {
                report.with(&package::NEEDS, "packages", package::pack_built);
                report.with(&package::NEEDS, "packages, made twice alike", package::check);
                report.tests("packages, installed", &["test", "-p", "secure-callbacks-packages", "--tests"]);
            }
            Step::Operations => {
                report.tests("operations", &["test", "-p", "secure-callbacks-operations", "--tests"]);
            }
            Step::Envoys => older_envoys(&mut report),
            Step::Proxies => {
                report.table();
                report.tests("real proxies", &["test", "-p", "secure-callbacks-harness", "--tests"]);
            }
        }
    }
    if !steps.contains(&Step::Proxies) {
        report.table();
    }
    report.close()
}

fn clippy(report: &mut Report) {
    report.plain("clippy, native", || {
        // The module is linted against nginx, below.
        Cmd::cargo(["clippy", "--workspace", "--exclude", "secure-callbacks-nginx", "--all-targets"])
            .args(["--", "-D", "warnings"])
            .shown()
    });
    report.with(&[Part::Wasm], "clippy, the filter for wasm", || {
        Cmd::cargo(["clippy", "-p", "secure-callbacks-envoy", "--target", WASM_TARGET])
            .args(["--", "-D", "warnings"])
            .shown()
    });
    report.with(&SYSTEM_NGINX, "clippy, the module", || {
        build::nginx_cargo(&Nginx::system()?, "clippy").args(["--", "-D", "warnings"]).shown()
    });
}

fn artifacts(report: &mut Report) {
    report.with(&[Part::Wasm], "build, the filter", build::envoy);
    report.with(&SYSTEM_NGINX, "build, the module for the system's nginx", || build::nginx(&Nginx::system()?));
    report.with(&BUILT_NGINX, "build, the module for the newer nginx", || build::nginx(&Nginx::built()));
}

fn containers(report: &mut Report) {
    const NAME: &str = "containers";
    if let Some(reason) = docker::missing() {
        let start = heading(NAME);
        println!("skipped: {reason}");
        return report.add(NAME, start, Outcome::Skipped(reason), Count::default(), Vec::new());
    }
    report.tests("tests of the containers' programs", &["test", "-p", "secure-callbacks-containers"]);
    report.with(&[Part::Wasm, Part::Packages, Part::Envoy, Part::SystemNginx], NAME, || {
        build::envoy()?;
        build::nginx(&Nginx::system()?)?;
        docker::stage()?;
        docker::run(&["test"])
    });
}

fn older_envoys(report: &mut Report) {
    for version in envoy::OLDER {
        // The rows alone, and a dot for each: they are named where the newest release runs them.
        let rows = ["test", "-p", "secure-callbacks-harness", "--test", "vectors", "--no-fail-fast"];
        let quiet = Cmd::cargo(rows).args(["--", "--quiet", "vectors::envoy"]).env(envoy::VARIABLE, version);
        report.run_tests(&format!("vectors in Envoy {version}"), quiet);
    }
}

/// The run so far.
#[derive(Default)]
struct Report {
    rows: Vec<Row>,
    /// Parts that could not be had, and why.
    missing: Vec<(Part, String)>,
}

impl Report {
    fn set_up(&mut self, steps: &[Step]) {
        let start = heading("setup");
        let parts = Part::ALL.into_iter().filter(|part| steps.iter().any(|step| step.needs(*part)));
        for (part, result) in setup::attempt(&parts.collect::<Vec<_>>()) {
            if let Err(problem) = result {
                self.missing.push((part, problem));
            }
        }
        let outcome = match self.missing.first() {
            None => Outcome::Passed,
            Some((_, problem)) if env::var_os(ALLOW_SKIP).is_some() => Outcome::Skipped(problem.clone()),
            Some((_, problem)) => Outcome::Failed(problem.clone()),
        };
        self.add("setup", start, outcome, Count::default(), Vec::new());
    }

    /// A check that passes or fails as a whole.
    fn plain(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        let start = heading(name);
        let outcome = check().map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.add(name, start, outcome, Count::default(), Vec::new());
    }

    /// A check that needs parts of the setup.
    fn with(&mut self, parts: &[Part], name: &str, check: impl FnOnce() -> Result<()>) {
        match self.missing.iter().find(|(missing, _)| parts.contains(missing)) {
            None => self.plain(name, check),
            Some((_, problem)) => {
                let outcome = Outcome::Skipped(problem.clone());
                let start = heading(name);
                self.add(name, start, outcome, Count::default(), Vec::new());
            }
        }
    }

    /// Test runners, started by cargo.
    fn tests(&mut self, name: &str, arguments: &[&str]) {
        self.run_tests(name, Cmd::cargo([]).args(arguments).arg("--no-fail-fast"));
    }

    fn run_tests(&mut self, name: &str, runners: Cmd) {
        let start = heading(name);
        let mut count = Count::default();
        let mut ignored = Vec::new();
        let run = runners.lines(|line| {
            println!("{line}");
            sh::flush();
            if let Some(found) = Count::of_summary(line) {
                count.add(found);
            }
            ignored.extend(ignored_test(line));
        });
        let outcome = run.map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.add(name, start, outcome, count, ignored);
    }

    fn add(&mut self, name: &str, start: Instant, outcome: Outcome, count: Count, ignored: Vec<String>) {
        if let Outcome::Failed(problem) = &outcome {
            // The runner of a suite has said it itself, and is to have the last word.
            if count == Count::default() {
                println!("{problem}");
            }
        }
        self.rows.push(Row { name: name.into(), time: start.elapsed(), outcome, count, ignored });
        sh::flush();
    }

    fn table(&self) {
        heading("steps");
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        for Row { name, time, outcome, count, ignored } in &self.rows {
            let result = match outcome {
                Outcome::Passed if *count == Count::default() => "ok".into(),
                Outcome::Passed => format!("ok, {} tests", count.passed),
                Outcome::Failed(_) => "FAILED".into(),
                Outcome::Skipped(reason) => format!("skipped: {}", reason.lines().next().unwrap_or_default()),
            };
            println!("{name:width$}  {:>6.1} s  {result}", time.as_secs_f32());
            for test in ignored {
                println!("{:width$}            skipped: {test}", "");
            }
        }
        sh::flush();
    }

    /// The last line, over all suites. A step without a runner of its own counts as one when it failed or was skipped.
    fn close(&self) -> bool {
        let mut sum = Count::default();
        let mut good = true;
        for Row { name, outcome, count, .. } in &self.rows {
            sum.add(*count);
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(problem) => {
                    good = false;
                    sum.failed += u64::from(count.failed == 0);
                    println!("failed: {name}: {problem}");
                }
                Outcome::Skipped(_) => sum.skipped += 1,
            }
        }
        println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
        sh::flush();
        good && sum.failed == 0
    }
}

fn heading(name: &str) -> Instant {
    println!("\n== {name}");
    sh::flush();
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_failed_without_a_runner_fails_the_run() {
        let row = |outcome| Row {
            name: "x".into(),
            time: Duration::ZERO,
            outcome,
            count: Count::default(),
            ignored: Vec::new(),
        };
        let close = |outcome| Report { rows: vec![row(outcome)], missing: Vec::new() }.close();
        assert!(close(Outcome::Passed));
        assert!(close(Outcome::Skipped("no".into())));
        assert!(!close(Outcome::Failed("no".into())));
    }
}
