//! `cargo xtask test`: every check and every suite, one after the other, and one count at the end.
//!
//! A step that fails does not stop the rest. The real proxies come last, and after them only the table of steps and why
//! those failed that did: logs are often cut to their end.

mod report;

use crate::build;
use crate::docker;
use crate::envoy;
use crate::floors;
use crate::nginx::Nginx;
use crate::package;
use crate::purity;
use crate::setup::{Part, WASM_TARGET};
use crate::sh::Cmd;
use crate::suite;
use report::Report;

/// What a build of the module needs, for each version.
const SYSTEM_NGINX: [Part; 2] = [Part::Packages, Part::SystemNginx];
const BUILT_NGINX: [Part; 2] = [Part::Packages, Part::BuiltNginx];
const SUITE_NGINX: [Part; 3] = [Part::Packages, Part::SuitePackages, Part::SuiteNginx];

/// One step of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The formatter.
    Fmt,
    /// Everything that builds and is tested with cargo alone.
    Unit,
    /// What the core may not reach.
    Purity,
    /// That no file of the product imports what imports it.
    Floors,
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
    /// The vectors, and who answered, in the earlier releases of Envoy that the README names.
    Envoys,
    /// The vectors, and all that is Nginx's alone, in the newest nginx.
    Nginxes,
    /// Real proxies with the artifacts in them.
    Proxies,
}

impl Step {
    /// Every step, in the order they run.
    pub(crate) const ALL: [Self; 12] = [
        Self::Fmt,
        Self::Purity,
        Self::Floors,
        Self::Unit,
        Self::Clippy,
        Self::Build,
        Self::Packages,
        Self::Operations,
        Self::Docker,
        Self::Envoys,
        Self::Nginxes,
        Self::Proxies,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Unit => "unit",
            Self::Purity => "purity",
            Self::Floors => "floors",
            Self::Clippy => "clippy",
            Self::Build => "build",
            Self::Packages => "packages",
            Self::Operations => "operations",
            Self::Docker => "docker",
            Self::Envoys => "envoys",
            Self::Nginxes => "nginxes",
            Self::Proxies => "proxies",
        }
    }

    fn needs(self, part: Part) -> bool {
        let in_one_step_alone = matches!(part, Part::OlderEnvoys | Part::SuitePackages | Part::SuiteNginx);
        match self {
            Self::Fmt | Self::Purity | Self::Floors | Self::Unit => false,
            Self::Clippy => matches!(part, Part::Wasm | Part::Packages | Part::SystemNginx),
            Self::Build => !matches!(part, Part::Envoy | Part::OlderEnvoys),
            Self::Docker => part != Part::BuiltNginx && !in_one_step_alone && docker::missing().is_none(),
            Self::Envoys => matches!(part, Part::Wasm | Part::OlderEnvoys),
            Self::Nginxes => SUITE_NGINX.contains(&part),
            Self::Packages | Self::Operations | Self::Proxies => !in_one_step_alone,
        }
    }
}

/// Runs the steps; the answer is whether all went well. The last line says so already.
pub(crate) fn run(steps: &[Step]) -> bool {
    let mut report = Report::default();
    if Part::ALL.into_iter().any(|part| steps.iter().any(|step| step.needs(part))) {
        let parts = Part::ALL.into_iter().filter(|part| steps.iter().any(|step| step.needs(*part)));
        report.set_up(&parts.collect::<Vec<_>>());
    }
    for step in Step::ALL.into_iter().filter(|step| steps.contains(step)) {
        match step {
            Step::Fmt => report.plain("fmt", || Cmd::cargo(["fmt", "--all", "--check"]).shown()),
            Step::Purity => report.plain("purity", purity::check),
            Step::Floors => report.plain("floors", floors::check),
            Step::Unit => {
                report.tests("tests of the core, the filter and their support", &["test"]);
                report.tests("allocations of the accept path", &["test", "-p", "secure-callbacks-micro", "--tests"]);
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
            Step::Nginxes => newest_nginx(&mut report),
            Step::Proxies => {
                report.tests("real proxies", &["test", "-p", "secure-callbacks-harness", "--tests"]);
            }
        }
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
        Cmd::cargo(["clippy", "-p", "secure-callbacks-envoy-wasm", "--target", WASM_TARGET])
            .args(["--", "-D", "warnings"])
            .shown()
    });
    report.with(&SYSTEM_NGINX, "clippy, the module", || {
        build::nginx_cargo(&Nginx::system()?, "clippy").args(["--", "-D", "warnings"]).shown()
    });
}

fn artifacts(report: &mut Report) {
    report.with(&[Part::Wasm], "build, the filter", build::envoy);
    report.plain("build, Envoy's module", build::envoy_module);
    report.with(&SYSTEM_NGINX, "build, the module for the system's nginx", || build::nginx(&Nginx::system()?));
    report.with(&BUILT_NGINX, "build, the module for the newer nginx", || build::nginx(&Nginx::built()));
    report.with(&SUITE_NGINX, "build, the module for the newest nginx", || build::nginx(&Nginx::of_suite()?));
}

fn containers(report: &mut Report) {
    const NAME: &str = "containers";
    if let Some(reason) = docker::missing() {
        return report.skip(NAME, reason);
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
        let skipped: &[&str] = if envoy::runs_modules(version) { &[] } else { &["--skip", "envoy-module"] };
        let quiet = Cmd::cargo(rows).args(["--", "--quiet", "vectors::envoy"]).args(skipped);
        let quiet = quiet.env(envoy::VARIABLE, version);
        report.run_tests(&format!("vectors in Envoy {version}"), quiet);
        // The filter goes by what Envoy says of where an answer comes from.
        let answers = ["test", "-p", "secure-callbacks-harness", "--test", "hosts", "--no-fail-fast"];
        let quiet = Cmd::cargo(answers).args(["--", "--quiet", "answered_by"]).env(envoy::VARIABLE, version);
        report.run_tests(&format!("who answered, in Envoy {version}"), quiet);
        if !envoy::runs_modules(version) {
            let quiet = Cmd::cargo(answers).args(["--", "--quiet", "refuses_it"]).env(envoy::VARIABLE, version);
            report.run_tests(&format!("the module refused, by Envoy {version}"), quiet);
        }
    }
}

fn newest_nginx(report: &mut Report) {
    let mut version = String::new();
    report.with(&SUITE_NGINX, "the newest nginx and its module", || {
        let nginx = Nginx::of_suite()?;
        build::nginx(&nginx)?;
        version = nginx.version;
        Ok(())
    });
    // Without it the line above says why.
    for suite in ["vectors", "hosts"].into_iter().filter(|_| !version.is_empty()) {
        let rows = ["test", "-p", "secure-callbacks-harness", "--test", suite, "--no-fail-fast", "--"];
        let name = format!("{suite}::nginx-{version}");
        let quiet = Cmd::cargo(rows).args(["--quiet", &name]).env(suite::HARNESS_VARIABLE, suite::name());
        report.run_tests(&format!("{suite} in nginx {version}"), quiet);
    }
}
