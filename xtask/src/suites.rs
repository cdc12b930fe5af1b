//! `cargo xtask test`: every check and every suite, one after the other, and one count at the end.
//!
//! A step that fails does not stop the rest. The real proxies come last, and after them only the table of steps and why
//! those failed that did: logs are often cut to their end.

mod own;
mod report;

use secure_callbacks_proxies::{self as proxies, Artifact, Machine, Product, Proxy, Source};

use crate::build::{self, Build};
use crate::docker;
use crate::floors;
use crate::nginx::Nginx;
use crate::package;
use crate::purity;
use crate::setup::{Part, WASM_TARGET};
use crate::sh::{self, Cmd};
use report::Report;

/// One step of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The formatter.
    Fmt,
    /// Everything that builds and is tested with nothing but cargo.
    Unit,
    /// What the core may not reach.
    Purity,
    /// That no file of the product imports what imports it.
    Floors,
    /// The linter, on every package as it is built.
    Clippy,
    /// The documentation of every package, also of what is private.
    Doc,
    /// The artifacts.
    Build,
    /// What an operator installs, made twice, and installed in a clean root.
    Packages,
    /// The runbook, as it is printed, and the alert rules.
    Operations,
    /// The proxies in containers, and what goes wrong around them.
    Docker,
    /// The demo, whose every row must be as expected.
    Demo,
    /// The module for an nginx of one's own, by its path.
    Own,
    /// In each further Envoy the suites that it takes.
    Envoys,
    /// In each further nginx the suites that it takes.
    Nginxes,
    /// In each proxy that is tried as it is for aarch64 the suites that it takes, emulated.
    Aarch64,
    /// Real proxies with the artifacts in them.
    Proxies,
}

impl Step {
    /// Every step, in the order they run.
    pub(crate) const ALL: [Self; 16] = [
        Self::Fmt,
        Self::Purity,
        Self::Floors,
        Self::Unit,
        Self::Clippy,
        Self::Doc,
        Self::Build,
        Self::Packages,
        Self::Operations,
        Self::Docker,
        Self::Demo,
        Self::Own,
        Self::Envoys,
        Self::Nginxes,
        Self::Aarch64,
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
            Self::Doc => "doc",
            Self::Build => "build",
            Self::Packages => "packages",
            Self::Operations => "operations",
            Self::Docker => "docker",
            Self::Demo => "demo",
            Self::Own => "own",
            Self::Envoys => "envoys",
            Self::Nginxes => "nginxes",
            Self::Aarch64 => "aarch64",
            Self::Proxies => "proxies",
        }
    }

    /// What it needs; `further` are the proxies that do not take every suite.
    fn needs(self, further: &[&'static Proxy]) -> Vec<Part> {
        let of_builds = |builds: Vec<Build>| builds.into_iter().flat_map(Build::needs).collect();
        let of_further = || further_of(self, further).into_iter().flat_map(needs_of).collect();
        match self {
            Self::Fmt | Self::Purity | Self::Floors | Self::Unit => Vec::new(),
            Self::Clippy | Self::Doc => of_builds(Build::shown()),
            Self::Build => of_builds(Build::all(Machine::This)),
            Self::Docker if docker::missing().is_some() => Vec::new(),
            Self::Docker => docker::needs(),
            Self::Demo => demo_needs(),
            Self::Own => own::needs(),
            Self::Envoys | Self::Nginxes | Self::Aarch64 => of_further(),
            Self::Packages | Self::Operations | Self::Proxies => {
                let is_for_packages = |proxy: &Proxy| proxy.package.is_some() || proxy.takes(Artifact::EnvoyModule);
                let here =
                    |proxy: &&Proxy| proxy.suites.is_none() || (self == Self::Packages && is_for_packages(proxy));
                proxies::all().iter().filter(here).flat_map(needs_of).chain([Part::TestPackages]).collect()
            }
        }
    }
}

/// The proxies that one of the steps for further ones is about.
fn further_of(step: Step, further: &[&'static Proxy]) -> Vec<&'static Proxy> {
    let is_of = |proxy: &&&'static Proxy| match (proxy.machine, proxy.product) {
        (Machine::This, Product::Envoy) => step == Step::Envoys,
        (Machine::This, Product::Nginx) => step == Step::Nginxes,
        (Machine::Aarch64, _) => step == Step::Aarch64,
    };
    further.iter().filter(is_of).copied().collect()
}

/// What it takes to run a proxy with ours in it.
fn needs_of(proxy: &'static Proxy) -> Vec<Part> {
    let needs: Vec<_> = Build::of(proxy).flat_map(Build::needs).collect();
    let others = [Part::Packages, Part::Proxy(proxy)].into_iter();
    // Of somebody's own the build needs all that there is.
    let others = others.filter(|_| !matches!(proxy.source, Source::Own { .. }));
    needs.iter().copied().chain(others).collect()
}

/// What the demo shows.
fn demo_needs() -> Vec<Part> {
    let builds = Build::shown().into_iter().flat_map(Build::needs);
    builds.chain(proxies::envoy().into_iter().map(Part::Proxy)).collect()
}

/// What is to be run.
#[derive(PartialEq, Eq)]
pub(crate) struct Selection {
    /// These steps, in whatever order.
    pub(crate) steps: Vec<Step>,
    /// Those for further proxies in these alone, if there are any.
    pub(crate) proxies: Vec<&'static Proxy>,
    /// In them also what they take only where all is to be run.
    pub(crate) everything: bool,
}

/// Runs the steps; the answer is whether all went well. The last line says so already.
pub(crate) fn run(Selection { steps, proxies: chosen, everything }: &Selection) -> bool {
    let in_file = || proxies::on_every_machine().filter(|proxy| proxy.suites.is_some()).collect();
    let further: Vec<&'static Proxy> = if chosen.is_empty() { in_file() } else { chosen.clone() };
    let mut report = Report::default();
    let mut parts = Vec::new();
    for part in steps.iter().flat_map(|step| step.needs(&further)) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    // The packages are what all others need.
    parts.sort_by_key(|part| matches!(part, Part::Proxy(_)));
    if !parts.is_empty() {
        report.set_up(&parts);
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
            Step::Doc => documentation(&mut report),
            Step::Build => Build::all(Machine::This).into_iter().for_each(|build| report.build(build)),
            Step::Docker => containers(&mut report),
            Step::Packages => {
                let machine = Machine::This;
                report.with(&package::needs(machine), "packages", || package::pack_built(machine));
                report.with(&package::needs(machine), "packages, made twice alike", || package::check(machine));
                report.tests("packages, installed", &["test", "-p", "secure-callbacks-packages", "--tests"]);
            }
            Step::Operations => {
                report.tests("operations", &["test", "-p", "secure-callbacks-operations", "--tests"]);
            }
            Step::Demo => report.with(&demo_needs(), "demo", || crate::demo(&[])),
            Step::Own => own::run(&mut report),
            // In one row why it can't be done here at all.
            Step::Aarch64 if report.lacks(&[Part::Aarch64], "aarch64") => {}
            Step::Envoys | Step::Nginxes | Step::Aarch64 => {
                further_versions(&mut report, &further_of(step, &further), *everything);
                if step == Step::Aarch64 && chosen.is_empty() {
                    packages_for_aarch64(&mut report);
                }
            }
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
    for build in Build::shown() {
        let Build::NginxModule(proxy) = build else { continue };
        report.with(&build.needs(), "clippy, the module", || {
            let linter = build::nginx_cargo(&Nginx::of(proxy)?, "clippy", &sh::cargo_target());
            linter.args(["--", "-D", "warnings"]).shown()
        });
    }
}

fn documentation(report: &mut Report) {
    report.plain("doc, native", || {
        Cmd::cargo(["doc", "--no-deps", "--workspace", "--exclude", "secure-callbacks-nginx"])
            .arg("--document-private-items")
            .env("RUSTDOCFLAGS", "-D warnings")
            .shown()
    });
    for build in Build::shown() {
        let Build::NginxModule(proxy) = build else { continue };
        report.with(&build.needs(), "doc, the module", || {
            build::nginx_cargo(&Nginx::of(proxy)?, "doc", &sh::cargo_target())
                .args(["--no-deps", "--document-private-items"])
                .env("RUSTDOCFLAGS", "-D warnings")
                .shown()
        });
    }
}

fn containers(report: &mut Report) {
    const NAME: &str = "containers";
    if let Some(reason) = docker::missing() {
        return report.skip(NAME, reason);
    }
    report.tests("tests of the containers' programs", &["test", "-p", "secure-callbacks-containers"]);
    report.with(&docker::needs(), NAME, || {
        Build::shown().into_iter().try_for_each(Build::run)?;
        docker::stage()?;
        package::pack_for_image()?;
        docker::run(&["test"])
    });
}

fn packages_for_aarch64(report: &mut Report) {
    const NAME: &str = "packages for aarch64";
    let machine = Machine::Aarch64;
    let needs = package::needs(machine);
    report.with(&needs, NAME, || package::pack_built(machine));
    report.with(&needs, &format!("{NAME}, made twice alike"), || package::check(machine));
    let tests = Cmd::cargo(["test", "-p", "secure-callbacks-packages", "--test", "contents", "--no-fail-fast"]);
    report.tests_with(&needs, &format!("{NAME}, contents"), tests.env(proxies::PACKAGES_VARIABLE, machine.folder()));
}

/// The suites that further proxies take, each in a run of its own, with what they test built first.
fn further_versions(report: &mut Report, further: &[&'static Proxy], everything: bool) {
    let mut built = Vec::new();
    'proxies: for proxy in further.iter().copied() {
        for build in Build::of(proxy).filter(|build| !built.contains(build)).collect::<Vec<_>>() {
            report.build(build);
            if !report.went_well() {
                continue 'proxies;
            }
            built.push(build);
        }
        for (suite, part) in proxy.further_suites(everything) {
            let which = part.map_or_else(|| suite.to_owned(), |part| format!("{suite} {part}"));
            report.tests_with(
                &needs_of(proxy),
                &format!("{which} in {proxy}"),
                in_proxy(&proxy.selector(), suite, part),
            );
        }
    }
}

/// A suite of the harness in one proxy. A dot for each test: they are named where the proxies run that take every suite.
fn in_proxy(proxy: &str, suite: &str, part: Option<&str>) -> Cmd {
    Cmd::cargo(["test", "-p", "secure-callbacks-harness", "--no-fail-fast", "--test", suite])
        .args(["--", "--quiet"])
        .args(part)
        .env(proxies::VARIABLE, proxy)
}
