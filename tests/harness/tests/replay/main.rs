//! What `docs/replay.md` promises, on real proxies: replays are refused across workers, connections, protocols and
//! changes of the configuration, and no event is lost to that. `replay::<proxy>::<test>`.
//!
//! Envoy has no worker processes that could be killed apart from the whole, and its filter can't be made to trap from
//! outside; what a worker's death leaves behind is tested on nginx, and the lapse of a reservation on both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

mod answers;
mod callback;
mod changes;
mod config;
mod copies;
mod full;
mod interim;
mod lapse;
mod load;
mod measured;
mod nginx;
mod nginx_own;
mod pour;
mod scope;
mod site;
mod stage;

use libtest_mimic::{Arguments, Trial};
use secure_callbacks_harness::proxy::{self, envoy};
use secure_callbacks_harness::tools::{self, ProxyKind};
use std::sync::Arc;

/// Tests at once: some sleep for a minute, most of the others wait.
const THREADS: usize = 10;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let stages = ProxyKind::ALL.map(|kind| Arc::new(stage::Stage::new(kind)));
    // They start in this order: first those that sleep longest, last those that want the machine for themselves.
    let groups = [
        lapse::add,
        answers::add,
        scope::add,
        nginx::add,
        interim::add,
        nginx_own::add,
        full::add,
        changes::add,
        copies::add,
    ];
    let groups = groups.iter().chain(&[load::add as fn(&Arc<stage::Stage>, &mut stage::Tests), measured::add]);
    let mut trials = Vec::new();
    for add in groups {
        for stage in &stages {
            let kind = stage.kind;
            let missing = tools::find(kind).err().filter(|_| tools::skipping_is_allowed());
            let mut tests = stage::Tests::default();
            add(stage, &mut tests);
            for (name, test) in tests.0 {
                let name = format!("replay::{}::{name}", kind.name());
                trials.push(match &missing {
                    Some(error) => Trial::test(name, || Ok(())).with_kind(format!("{error:#}")).with_ignored_flag(true),
                    None => {
                        Trial::test(name, move || envoy::with(kind, test).map_err(|error| format!("{error:#}").into()))
                    }
                });
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The shared proxies end here; leaving through `exit` would drop nothing.
    drop(stages);
    proxy::finish(conclusion.has_failed());
    conclusion.exit_if_failed();
}
