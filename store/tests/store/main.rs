//! The store's thread against real Redis and real Valkey.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod holder;
mod life;
mod measured;
mod reached;
mod server;
mod threads;
mod trouble;

use anyhow::Result;
use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools;
use secure_callbacks_proxies::{ENGINES, Engine};

/// A test, and its name.
type Test = (&'static str, fn(&'static Engine) -> Result<()>);

fn main() {
    let mut suite = Suite::new("store", 2);
    for engine in &ENGINES {
        let program = engine.program(&tools::target(), "server");
        let missing = (!program.is_file()).then(|| format!("no {}: run `cargo xtask setup`", program.display()));
        let missing = missing.filter(|_| tools::skipping_is_allowed());
        for (name, test) in [life::TESTS, threads::TESTS, trouble::TESTS, reached::TESTS].concat() {
            suite.add(&format!("{}::{name}", engine.name), missing.as_deref(), move || test(engine));
        }
        suite.measure(&format!("{}::measured", engine.name), move || measured::figures(engine));
    }
    suite.run(());
}
