//! What came of the steps: a table, one of each proxy's suites, why those failed that did, and one count.

mod proxies;

use std::env;
use std::time::{Duration, Instant};

use crate::build::Build;
use crate::runner::{Count, InProxy, Transcript};
use crate::setup::{self, Part, Problem};
use crate::sh::{self, Cmd, Result};

/// Set by somebody whose machine cannot have all parts: what they would run is then skipped and not failed.
const ALLOW_SKIP: &str = "SECURE_CALLBACKS_ALLOW_SKIP";

/// How many lines say why a step failed: of several steps all must fit into the end of a log.
const REASON_LINES: usize = 15;

/// What came of a part of a step.
enum Outcome {
    Passed,
    /// Why, in a few lines.
    Failed(Vec<String>),
    Skipped(String),
}

impl Outcome {
    fn of(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(problem) => Self::Failed(reason(&problem)),
        }
    }
}

/// The first line of a problem, which names it, and its last lines.
fn reason(problem: &str) -> Vec<String> {
    let lines: Vec<_> = problem.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = lines.first().copied();
    let rest = lines.iter().skip(1.max(lines.len().saturating_sub(REASON_LINES - 1))).copied();
    first.into_iter().chain(rest).map(String::from).collect()
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

/// The run so far.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    /// What suites of the harness came to in each proxy.
    in_proxies: Vec<InProxy>,
    /// Parts that could not be had, and why.
    missing: Vec<(Part, Problem)>,
}

impl Report {
    /// Gets the parts; what can't be had is a failure, unless somebody allowed to do without.
    pub(super) fn set_up(&mut self, parts: &[Part]) {
        let start = heading("setup");
        for (part, result) in setup::attempt(parts) {
            if let Err(problem) = result {
                self.missing.push((part, problem));
            }
        }
        let hard = self.missing.iter().find(|(_, problem)| matches!(problem, Problem::Failed(_)));
        let outcome = match hard.or(self.missing.first()) {
            None => Outcome::Passed,
            Some((_, Problem::Failed(problem))) if env::var_os(ALLOW_SKIP).is_none() => {
                Outcome::Failed(reason(problem))
            }
            Some((_, problem)) => Outcome::Skipped(problem.text().into()),
        };
        self.add("setup", start, outcome);
    }

    /// A check that passes or fails as a whole.
    pub(super) fn plain(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        let start = heading(name);
        let outcome = Outcome::of(check());
        if let Outcome::Failed(reason) = &outcome {
            println!("{}", reason.first().map_or("", String::as_str));
        }
        self.add(name, start, outcome);
    }

    /// A check that needs parts of the setup.
    pub(super) fn with(&mut self, parts: &[Part], name: &str, check: impl FnOnce() -> Result<()>) {
        if !self.lacks(parts, name) {
            self.plain(name, check);
        }
    }

    /// An artifact.
    pub(super) fn build(&mut self, build: Build) {
        self.with(&build.needs(), &format!("build, {}", build.title()), || build.run());
    }

    /// Whether what came last went well.
    pub(super) fn went_well(&self) -> bool {
        self.rows.last().is_none_or(|row| matches!(row.outcome, Outcome::Passed))
    }

    /// Test runners that need parts of the setup.
    pub(super) fn tests_with(&mut self, parts: &[Part], name: &str, runners: Cmd) {
        if !self.lacks(parts, name) {
            self.run_tests(name, runners);
        }
    }

    /// Whether one of the parts could not be had; then what needs it is skipped.
    pub(super) fn lacks(&mut self, parts: &[Part], name: &str) -> bool {
        let lacking = self.missing.iter().find(|(missing, _)| parts.contains(missing));
        let problem = lacking.map(|(_, problem)| problem.text().to_owned());
        problem.map(|problem| self.skip(name, problem)).is_some()
    }

    /// What can't be run here.
    pub(super) fn skip(&mut self, name: &str, problem: String) {
        let start = heading(name);
        println!("skipped: {problem}");
        self.add(name, start, Outcome::Skipped(problem));
    }

    /// Test runners, started by cargo.
    pub(super) fn tests(&mut self, name: &str, arguments: &[&str]) {
        self.run_tests(name, Cmd::cargo([]).args(arguments).arg("--no-fail-fast"));
    }

    /// Test runners, started by this command.
    fn run_tests(&mut self, name: &str, runners: Cmd) {
        let start = heading(name);
        let mut transcript = Transcript::default();
        // A failed test says where; the calls on the way there would fill the lines that are told again at the end.
        let run = runners.env("RUST_BACKTRACE", "0").lines(|line| {
            println!("{line}");
            sh::flush();
            transcript.read(line);
        });
        let outcome = match run {
            Ok(()) => Outcome::Passed,
            // Its runners have said it themselves.
            Err(problem) => Outcome::Failed(transcript.reason(&problem, REASON_LINES)),
        };
        let Transcript { count, ignored, in_proxies, .. } = transcript;
        self.in_proxies.extend(in_proxies);
        self.rows.push(Row { name: name.into(), time: start.elapsed(), outcome, count, ignored });
    }

    fn add(&mut self, name: &str, start: Instant, outcome: Outcome) {
        let (count, ignored) = (Count::default(), Vec::new());
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
                Outcome::Failed(_) if *count == Count::default() => "FAILED".into(),
                Outcome::Failed(_) => format!("FAILED, {} of {} tests", count.failed, count.passed + count.failed),
                Outcome::Skipped(reason) => format!("skipped: {}", reason.lines().next().unwrap_or_default()),
            };
            println!("{name:width$}  {:>6.1} s  {result}", time.as_secs_f32());
            for test in ignored {
                println!("{:width$}            skipped: {test}", "");
            }
        }
    }

    /// Why steps failed, one after the other.
    fn reasons(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Row { name, outcome, .. } in &self.rows {
            if let Outcome::Failed(reason) = outcome {
                lines.push(format!("\nfailed: {name}"));
                lines.extend(reason.iter().map(|line| format!("    {line}")));
            }
        }
        lines
    }

    /// The count over all suites. A step without a runner of its own counts as one when it failed or was skipped.
    fn sum(&self) -> Count {
        let mut sum = Count::default();
        for Row { outcome, count, .. } in &self.rows {
            sum.add(*count);
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(_) => sum.failed += u64::from(count.failed == 0),
                Outcome::Skipped(_) => sum.skipped += 1,
            }
        }
        sum
    }

    /// Ends the run with the tables, the reasons and the count; the answer is whether all went well.
    pub(super) fn close(&self) -> bool {
        self.table();
        if !self.in_proxies.is_empty() {
            heading("suites in each proxy: passed, failed, skipped");
            proxies::table(&self.in_proxies).iter().for_each(|line| println!("{line}"));
        }
        for line in self.reasons() {
            println!("{line}");
        }
        let sum = self.sum();
        println!("\n{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
        sh::flush();
        sum.failed == 0
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
        let close = |outcome| Report { rows: vec![row(outcome)], ..Report::default() }.close();
        assert!(close(Outcome::Passed));
        assert!(close(Outcome::Skipped("no".into())));
        assert!(!close(Outcome::Failed(vec!["no".into()])));
    }

    #[test]
    fn reasons_of_two_failed_steps_fit_the_end_of_a_log() {
        let mut report = Report::default();
        let long: String = (0..99).map(|number| format!("line {number}\n")).collect();
        report.plain("a", || Err(format!("`cargo` ended with 101\n{long}")));
        report.plain("b", || Ok(()));
        report.plain("c", || Err("one line".into()));
        let reasons = report.reasons();
        assert_eq!(reasons.len(), 1 + REASON_LINES + 2);
        assert_eq!(reasons[..2], ["\nfailed: a", "    `cargo` ended with 101"]);
        assert_eq!(reasons[REASON_LINES..], ["    line 98", "\nfailed: c", "    one line"]);
        assert_eq!(report.sum().failed, 2);
    }
}
