//! `cargo xtask test`: every check and every suite, one after the other, and one count at the end.
//!
//! A step that fails does not stop the rest. The real proxies come last, and after them only the table of steps and why
//! those failed that did: logs are often cut to their end.

mod report;

use secure_callbacks_proxies::{self as proxies, Product, Proxy};

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
    /// What asks the shared replay store, with real engines.
    Store,
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
    /// In each further Envoy the suites that it takes.
    Envoys,
    /// In each further nginx the suites that it takes.
    Nginxes,
    /// Real proxies with the artifacts in them.
    Proxies,
}

impl Step {
    /// Every step, in the order they run.
    pub(crate) const ALL: [Self; 15] = [
        Self::Fmt,
        Self::Purity,
        Self::Floors,
        Self::Unit,
        Self::Clippy,
        Self::Doc,
        Self::Store,
        Self::Build,
        Self::Packages,
        Self::Operations,
        Self::Docker,
        Self::Demo,
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
            Self::Doc => "doc",
            Self::Store => "store",
            Self::Build => "build",
            Self::Packages => "packages",
            Self::Operations => "operations",
            Self::Docker => "docker",
            Self::Demo => "demo",
            Self::Envoys => "envoys",
            Self::Nginxes => "nginxes",
            Self::Proxies => "proxies",
        }
    }

    /// What it needs; `further` are the proxies that do not take every suite.
    fn needs(self, further: &[&'static Proxy]) -> Vec<Part> {
        let of_builds = |builds: Vec<Build>| builds.into_iter().flat_map(Build::needs).collect();
        let of_proxies = |product| {
            let mine = further.iter().filter(|proxy| proxy.product == product);
            mine.flat_map(|proxy| needs_of(proxy)).collect()
        };
        match self {
            Self::Fmt | Self::Purity | Self::Floors | Self::Unit => Vec::new(),
            Self::Clippy | Self::Doc => of_builds(Build::shown()),
            Self::Store => proxies::ENGINES.iter().map(Part::Engine).collect(),
            Self::Build => of_builds(Build::all()),
            Self::Docker if docker::missing().is_some() => Vec::new(),
            Self::Docker => docker::needs(),
            Self::Demo => demo_needs(),
            Self::Envoys => of_proxies(Product::Envoy),
            Self::Nginxes => of_proxies(Product::Nginx),
            Self::Packages | Self::Operations | Self::Proxies => {
                let here =
                    |proxy: &&Proxy| proxy.suites.is_none() || (self == Self::Packages && proxy.package.is_some());
                proxies::all().iter().filter(here).flat_map(needs_of).chain([Part::TestPackages]).collect()
            }
        }
    }
}

/// What it takes to run a proxy with ours in it.
fn needs_of(proxy: &'static Proxy) -> Vec<Part> {
    let mut needs: Vec<_> = Build::of(proxy).flat_map(Build::needs).collect();
    needs.extend([Part::Packages, Part::Proxy(proxy)]);
    needs
}

/// What the demo shows.
fn demo_needs() -> Vec<Part> {
    let builds = Build::shown().into_iter().flat_map(Build::needs);
    builds.chain(proxies::envoy().into_iter().map(Part::Proxy)).collect()
}

/// Runs the steps, those for further proxies in the `chosen` ones; the answer is whether all went well. The last line says
/// so already.
pub(crate) fn run(steps: &[Step], chosen: &[&'static Proxy]) -> bool {
    let further = proxies::all().iter().filter(|proxy| proxy.suites.is_some());
    let further: Vec<_> = further.filter(|proxy| chosen.is_empty() || chosen.contains(proxy)).collect();
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
            Step::Store => shared_store(&mut report),
            Step::Build => Build::all().into_iter().for_each(|build| report.build(build)),
            Step::Docker => containers(&mut report),
            Step::Packages => {
                report.with(&package::needs(), "packages", package::pack_built);
                report.with(&package::needs(), "packages, made twice alike", package::check);
                report.tests("packages, installed", &["test", "-p", "secure-callbacks-packages", "--tests"]);
            }
            Step::Operations => {
                report.tests("operations", &["test", "-p", "secure-callbacks-operations", "--tests"]);
            }
            Step::Demo => report.with(&demo_needs(), "demo", || crate::demo(&[])),
            Step::Envoys => further_versions(&mut report, Product::Envoy, &further),
            Step::Nginxes => further_versions(&mut report, Product::Nginx, &further),
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

fn shared_store(report: &mut Report) {
    report.tests("tests of the shared store without an engine", &["test", "-p", "secure-callbacks-store", "--lib"]);
    for engine in &proxies::ENGINES {
        let tests = Cmd::cargo(["test", "-p", "secure-callbacks-store", "--test", "store", "--", engine.name]);
        report.tests_with(&[Part::Engine(engine)], &format!("shared store, {}", engine.name), tests);
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
        docker::run(&["test"])
    });
}

/// The suites that further proxies take, each in a run of its own, with what they test built first.
fn further_versions(report: &mut Report, product: Product, further: &[&'static Proxy]) {
    let mut built = Vec::new();
    for proxy in further.iter().filter(|proxy| proxy.product == product) {
        for build in Build::of(proxy).filter(|build| !built.contains(build)).collect::<Vec<_>>() {
            report.build(build);
            built.push(build);
        }
        for (suite, part) in proxy.further_suites() {
            // A dot for each test: they are named where the proxies run that take every suite.
            let tests = Cmd::cargo(["test", "-p", "secure-callbacks-harness", "--no-fail-fast", "--test", suite])
                .args(["--", "--quiet"])
                .args(part)
                .env(proxies::VARIABLE, proxy.name());
            let which = part.map_or_else(|| suite.to_owned(), |part| format!("{suite} {part}"));
            report.tests_with(&needs_of(proxy), &format!("{which} in {proxy}"), tests);
        }
    }
}
