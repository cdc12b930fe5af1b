//! What the vectors can't say, because it is about the proxy and not about one request: configurations that must not
//! start, bodies that come slowly or not at all, many requests on one connection, and what each proxy does around the
//! filter. `hosts::<proxy>::<test>`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

mod around;
mod bad_policies;
mod common;
mod configuration;
mod connections;
mod core_dumps;
mod delivery;
mod envoy;
mod envoy_module;
mod envoy_own_answers;
mod envoy_unfinished;
mod envoy_upgrade;
mod headless;
mod nginx;
mod nginx_dav;
mod nginx_error_log;
mod nginx_names;
mod nginx_redirects;
mod secrecy;
mod slips;

use libtest_mimic::{Arguments, Trial};
use secure_callbacks_harness::proxy;
use secure_callbacks_harness::tools::{self, ProxyKind};
use std::sync::Arc;

/// Tests at once: they mostly wait, and each may run a proxy of its own.
const THREADS: usize = 8;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let mut trials = Vec::new();
    let mut stages = Vec::new();
    for kind in ProxyKind::ALL {
        let stage = Arc::new(common::Stage::new(kind));
        let mut tests = Vec::new();
        if kind == ProxyKind::EnvoyModule && !tools::envoy_runs_modules() {
            envoy_module::add_refusal(&mut tests);
        } else {
            add(&stage, &mut tests);
        }
        let missing = tools::find(kind).err().filter(|_| tools::skipping_is_allowed());
        for (name, test) in tests {
            let name = format!("hosts::{}::{name}", kind.name());
            trials.push(match &missing {
                Some(error) => Trial::test(name, || Ok(())).with_kind(format!("{error:#}")).with_ignored_flag(true),
                None => Trial::test(name, move || {
                    proxy::envoy::with(kind, test).map_err(|error| format!("{error:#}").into())
                }),
            });
        }
        stages.push(stage);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The shared proxies end here; leaving through `exit` would drop nothing.
    drop(stages);
    proxy::finish(conclusion.has_failed());
    conclusion.exit_if_failed();
}

/// All that is to be seen of a proxy.
fn add(stage: &Arc<common::Stage>, tests: &mut Vec<common::Test>) {
    let kind = stage.kind;
    configuration::add(stage, tests);
    connections::add(stage, tests);
    delivery::add(stage, tests);
    secrecy::add(stage, tests);
    slips::add(stage, tests);
    around::add(stage, tests);
    core_dumps::add(stage, tests);
    match kind {
        ProxyKind::Envoy | ProxyKind::EnvoyModule => {
            envoy::add(stage, tests);
            envoy_own_answers::add(tests);
            envoy_unfinished::add(tests);
            envoy_upgrade::add(tests);
            if kind == ProxyKind::EnvoyModule {
                envoy_module::add(tests);
            }
        }
        ProxyKind::NginxDebian | ProxyKind::NginxStable => {
            nginx::add(stage, tests);
            nginx_names::add(kind, tests);
            headless::add(stage, tests);
            nginx_dav::add(stage, tests);
            nginx_error_log::add(stage, tests);
            nginx_redirects::add(stage, tests);
        }
    }
}
