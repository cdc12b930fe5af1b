//! The packages in a clean Debian: installed, configured, started, upgraded, removed, purged; with real callbacks.
//! `packages::<nginx>`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

mod debian;
mod first_hour;
mod nginx_org;
mod runbook;
mod site;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use secure_callbacks_harness::{proxy, tools};
use secure_callbacks_packages::machine;

type Test = fn() -> Result<()>;

fn main() {
    let mut arguments = Arguments::from_args();
    // Each unpacks a whole system.
    arguments.test_threads.get_or_insert(1);
    let missing = machine::missing().filter(|_| tools::skipping_is_allowed());
    let tests: [(&str, Test); 5] = [
        ("debian", debian::life_of_the_package),
        ("first_hour", first_hour::as_it_is_printed),
        ("readme", first_hour::of_the_readme),
        ("runbook", runbook::with_the_package),
        ("nginx_org", nginx_org::life_of_the_package),
    ];
    let trials = tests.map(|(name, test)| {
        let name = format!("packages::{name}");
        match &missing {
            Some(reason) => Trial::test(name, || Ok(())).with_kind(reason).with_ignored_flag(true),
            None => Trial::test(name, move || test().map_err(|error| format!("{error:#}").into())),
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    proxy::finish(conclusion.has_failed());
    conclusion.exit_if_failed();
}
