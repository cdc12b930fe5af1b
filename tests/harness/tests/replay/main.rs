//! What `docs/replay.md` promises, on real proxies: replays are refused across workers, connections, protocols and
//! changes of the configuration, and no event is lost to that. `replay::<proxy>::<test>`.
//!
//! Envoy has no worker processes that could be killed apart from the whole, and its filter can't be made to trap from
//! outside; what a worker's death leaves behind is tested on nginx, and the lapse of a reservation on both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod answers;
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

use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools::ProxyKind;
use std::sync::Arc;

/// Tests at once: some sleep for a minute, most of the others wait.
const THREADS: usize = 10;

/// Adds the tests of one file.
type Add = fn(&Arc<stage::Stage>, &mut stage::Tests<'_>);

fn main() {
    let mut suite = Suite::new("replay", THREADS);
    let stages = ProxyKind::all().into_iter().map(|kind| Arc::new(stage::Stage::new(kind))).collect::<Vec<_>>();
    // They start in this order: first those that sleep longest, last those that want the machine for themselves.
    let groups: [Add; 11] = [
        lapse::add,
        answers::add,
        scope::add,
        nginx::add,
        interim::add,
        nginx_own::add,
        full::add,
        changes::add,
        copies::add,
        load::add,
        measured::add,
    ];
    for add in groups {
        stages.iter().for_each(|stage| add(stage, &mut suite.on(stage.kind)));
    }
    suite.run(stages);
}
