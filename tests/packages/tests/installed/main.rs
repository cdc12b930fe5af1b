//! The packages in a clean Debian: installed, configured, started, upgraded, removed, purged; with real callbacks.
//! `packages::<proxy>`, and of an nginx `packages::<nginx>::<whose>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod debian;
mod envoy_module;
mod first_hour;
mod images;
mod nginx_org;
mod runbook;
mod site;

use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_packages::machine;
use secure_callbacks_proxies::{self as proxies, Artifact, Machine, Package};

fn main() {
    // Each unpacks a whole system.
    let mut suite = Suite::new("packages", 1);
    let system = proxies::debian().unwrap();
    let missing_in = |debian| machine::missing(debian).filter(|_| tools::skipping_is_allowed());
    let missing = missing_in(system);
    for kind in ProxyKind::packed(Machine::This) {
        let proxy = kind.proxy();
        // Where another Debian is out of reach, no package is made for its nginx.
        let is_another = proxy.suite().is_some_and(|suite| suite != system);
        let unpacked = is_another && !proxy.program(&tools::target()).exists();
        let unpacked = unpacked.then(|| format!("{proxy} can't be had here"));
        let left_out = unpacked.or_else(|| missing_in(proxy.suite().unwrap_or(system)));
        let name = |from| format!("{}::{from}", kind.name());
        suite.add(&name("nginx.org"), left_out.as_deref(), move || nginx_org::life_of_the_package(kind));
        if let Some(Package::Debian(_)) = proxy.package {
            suite.add(&name("debian"), left_out.as_deref(), move || debian::life_of_the_package(proxy));
        }
    }
    for envoy in proxies::all().iter().filter(|proxy| proxy.takes(Artifact::EnvoyModule)) {
        suite.add(&envoy.name(), missing.as_deref(), move || envoy_module::as_it_is_printed(envoy));
    }
    suite.add("images", images::missing().as_deref(), images::as_they_are_printed);
    suite.add("first_hour", missing.as_deref(), first_hour::as_it_is_printed);
    suite.add("readme", missing.as_deref(), first_hour::of_the_readme);
    suite.add("runbook", missing.as_deref(), runbook::with_the_package);
    suite.run(());
}
