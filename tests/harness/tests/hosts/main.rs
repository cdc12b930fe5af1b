//! What the vectors can't say, because it is about the proxy and not about one request: configurations that must not
//! start, bodies that come slowly or not at all, many requests on one connection, and what each proxy does around the
//! filter. `hosts::<proxy>::<test>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod around;
mod bad_policies;
mod common;
mod configuration;
mod connections;
mod core_dumps;
mod delivery;
mod envoy;
mod envoy_module;
mod envoy_module_faults;
mod envoy_own_answers;
mod envoy_unfinished;
mod envoy_upgrade;
mod headless;
mod log_lines;
mod nginx;
mod nginx_dav;
mod nginx_error_log;
mod nginx_names;
mod nginx_redirects;
mod query;
mod secrecy;
mod slips;
mod warnings;

use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools::{self, ProxyKind};
use std::sync::Arc;

/// Tests at once: they mostly wait, and each may run a proxy of its own.
const THREADS: usize = 8;

fn main() {
    let mut suite = Suite::new("hosts", THREADS);
    let stages = ProxyKind::all().into_iter().map(|kind| Arc::new(common::Stage::new(kind))).collect::<Vec<_>>();
    for stage in &stages {
        let mut tests = suite.on(stage.kind);
        configuration::add(&mut tests);
        connections::add(stage, &mut tests);
        delivery::add(stage, &mut tests);
        query::add(&mut tests);
        secrecy::add(&mut tests);
        slips::add(&mut tests);
        around::add(stage, &mut tests);
        core_dumps::add(&mut tests);
        log_lines::add(stage, &mut tests);
        warnings::add(&mut tests);
        match stage.kind {
            ProxyKind::Envoy | ProxyKind::EnvoyModule => {
                envoy::add(stage, &mut tests);
                envoy_own_answers::add(&mut tests);
                envoy_unfinished::add(&mut tests);
                envoy_upgrade::add(&mut tests);
                if stage.kind == ProxyKind::EnvoyModule {
                    envoy_module::add(&mut tests);
                    envoy_module_faults::add(&mut tests);
                }
            }
            ProxyKind::Nginx(_) => {
                nginx::add(&mut tests);
                nginx_names::add(&mut tests);
                headless::add(&mut tests);
                nginx_dav::add(&mut tests);
                nginx_error_log::add(&mut tests);
                nginx_redirects::add(&mut tests);
            }
        }
    }
    if tools::envoy_is_too_old_for_the_module() {
        envoy_module::add_refusal(&mut suite.on(ProxyKind::EnvoyModule));
    }
    suite.run(stages);
}
