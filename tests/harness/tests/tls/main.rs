//! The client certificate and the source address, in real handshakes with real proxies. `tls::<proxy>::<test>`, and for
//! what goes through TLS once for each version of it.
//!
//! `cost_of_the_certificate_check` only measures, and runs when it is asked for:
//! `cargo test --release -p secure-callbacks-harness --test tls -- --ignored --test-threads 1 cost`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod certificates;
mod cost;
mod doors;
mod rows;
mod servers;
mod sessions;
mod site;
mod sources;

use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::tls::Version;
use secure_callbacks_harness::suite::{Suite, Tests};
use secure_callbacks_harness::tools::ProxyKind;
use site::Stage;
use std::sync::Arc;

/// Tests at once: they mostly wait.
const THREADS: usize = 8;

/// Each version with the name that tests carry.
const VERSIONS: [(&str, Version); 2] = [("tls1.2", Version::Tls12), ("tls1.3", Version::Tls13)];

fn main() {
    let mut suite = Suite::new("tls", THREADS);
    let stages: Vec<_> = ProxyKind::all().into_iter().map(|kind| (kind, Arc::new(Stage::default()))).collect();
    for (kind, stage) in &stages {
        let kind = *kind;
        let mut tests = suite.on(kind);
        add(stage, &mut tests);
        tests.measure("cost_of_the_certificate_check", move || cost::measure(kind));
    }
    suite.run(stages);
}

fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    let kind = tests.kind;
    for (label, version) in VERSIONS {
        for row in certificates::rows().into_iter().filter(|row| row.is_for(kind)) {
            let stage = Arc::clone(stage);
            tests.add(format!("{}::{label}", row.name), move || wait(row.run(stage.site(kind)?, version)));
        }
        for (name, test) in sessions::TESTS {
            let stage = Arc::clone(stage);
            tests.add(format!("{name}::{label}"), move || wait(test(stage.site(kind)?, version)));
        }
        if kind.is_nginx() {
            for case in &servers::CASES {
                tests.add(format!("servers_{}::{label}", case.name), move || wait(case.run(kind, version)));
            }
            for (name, test) in servers::TESTS {
                tests.add(format!("servers_{name}::{label}"), move || wait(test(kind, version)));
            }
        }
    }
    for row in sources::rows().into_iter().filter(|row| row.is_for(kind)) {
        let stage = Arc::clone(stage);
        tests.add(row.name, move || wait(row.run(stage.site(kind)?, Version::Tls13)));
    }
}
