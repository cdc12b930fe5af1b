//! The packages in a clean Debian: installed, configured, started, upgraded, removed, purged; with real callbacks.
//! `packages::<nginx>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod debian;
mod nginx_org;
mod site;

use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools;
use secure_callbacks_packages::machine;

fn main() {
    // Each unpacks a whole system.
    let mut suite = Suite::new("packages", 1);
    let missing = machine::missing().filter(|_| tools::skipping_is_allowed());
    suite.add("debian", missing.as_deref(), debian::life_of_the_package);
    suite.add("nginx_org", missing.as_deref(), nginx_org::life_of_the_package);
    suite.run(());
}
