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
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::{proxy, tools};
use secure_callbacks_packages::machine;
use secure_callbacks_proxies::Package;

type Test = Box<dyn FnOnce() -> Result<()> + Send>;

fn main() {
    let mut arguments = Arguments::from_args();
    // Each unpacks a whole system.
    arguments.test_threads.get_or_insert(1);
    let missing = machine::missing().filter(|_| tools::skipping_is_allowed());
    let packed = ProxyKind::packed().filter_map(|kind| {
        let test: Test = match kind.proxy().package? {
            Package::Debian => Box::new(debian::life_of_the_package),
            Package::NginxOrg => Box::new(move || nginx_org::life_of_the_package(kind)),
        };
        Some((kind.name().to_owned(), test))
    });
    let documents: [(String, Test); 3] = [
        ("first_hour".into(), Box::new(first_hour::as_it_is_printed)),
        ("readme".into(), Box::new(first_hour::of_the_readme)),
        ("runbook".into(), Box::new(runbook::with_the_package)),
    ];
    let tests = packed.chain(documents);
    let trials = tests.map(|(name, test)| {
        let name = format!("packages::{name}");
        match &missing {
            Some(reason) => Trial::test(name, || Ok(())).with_kind(reason).with_ignored_flag(true),
            None => Trial::test(name, move || test().map_err(|error| format!("{error:#}").into())),
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    proxy::finish(conclusion.has_failed());
    conclusion.exit_if_failed();
}
