//! The client certificate and the source address, in real handshakes with real proxies. `tls::<proxy>::<test>`, and for
//! what goes through TLS once for each version of it.
//!
//! `cost_of_the_certificate_check` only measures, and runs when it is asked for:
//! `cargo test --release -p secure-callbacks-harness --test tls -- --ignored --test-threads 1 cost`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

mod certificates;
mod cost;
mod doors;
mod people;
mod rows;
mod servers;
mod sessions;
mod site;
mod sources;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use secure_callbacks_harness::proxy::{self, envoy};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::tls::Version;
use secure_callbacks_harness::tools::{self, ProxyKind};
use site::Stage;
use std::sync::Arc;

/// Tests at once: they mostly wait.
const THREADS: usize = 8;

/// Each version with the name that tests carry.
const VERSIONS: [(&str, Version); 2] = [("tls1.2", Version::Tls12), ("tls1.3", Version::Tls13)];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let mut trials = Vec::new();
    let mut stages = Vec::new();
    for kind in ProxyKind::ALL {
        let stage = Stage::new(kind);
        add(&stage, &mut trials);
        if arguments.ignored || arguments.include_ignored {
            let measured = trial(&stage, "cost_of_the_certificate_check", |stage| wait(cost::measure(stage.kind)));
            trials.push(measured.with_ignored_flag(true));
        }
        stages.push(stage);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The proxies end here; leaving through `exit` would drop nothing.
    drop(stages);
    proxy::finish(conclusion.has_failed());
    conclusion.exit_if_failed();
}

fn add(stage: &Arc<Stage>, trials: &mut Vec<Trial>) {
    let kind = stage.kind;
    for (label, version) in VERSIONS {
        for row in certificates::rows().into_iter().filter(|row| row.is_for(kind)) {
            let name = format!("{}::{label}", row.name);
            trials.push(trial(stage, &name, move |stage| wait(row.run(stage.site()?, version))));
        }
        for (name, test) in sessions::TESTS {
            let name = format!("{name}::{label}");
            trials.push(trial(stage, &name, move |stage| wait(test(stage.site()?, version))));
        }
        if kind.is_nginx() {
            for case in &servers::CASES {
                let name = format!("servers_{}::{label}", case.name);
                trials.push(trial(stage, &name, move |stage| wait(case.run(stage.kind, version))));
            }
            for (name, test) in servers::TESTS {
                let name = format!("servers_{name}::{label}");
                trials.push(trial(stage, &name, move |stage| wait(test(stage.kind, version))));
            }
        }
    }
    for row in sources::rows().into_iter().filter(|row| row.is_for(kind)) {
        trials.push(trial(stage, row.name, move |stage| wait(row.run(stage.site()?, Version::Tls13))));
    }
}

fn trial(stage: &Arc<Stage>, name: &str, test: impl FnOnce(&Stage) -> Result<()> + Send + 'static) -> Trial {
    let name = format!("tls::{}::{name}", stage.kind.name());
    if let Some(error) = tools::find(stage.kind).err().filter(|_| tools::skipping_is_allowed()) {
        return Trial::test(name, || Ok(())).with_kind(format!("{error:#}")).with_ignored_flag(true);
    }
    let stage = Arc::clone(stage);
    Trial::test(name, move || envoy::with(stage.kind, || test(&stage)).map_err(|error| format!("{error:#}").into()))
}
