//! What an operator does and reads, on real proxies: the runbook's own commands, rotation under load, metrics, alert
//! rules and the dashboard. `operations::<proxy>::<test>`.
//!
//! The page names fixed ports (18190 to 18194), so its tests run one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

mod exposition;
mod faults;
mod load;
mod metrics;
mod mounted;
mod page;
mod promtool;
mod queries;
mod routes;
mod runbook;
mod site;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use secure_callbacks_harness::proxy;
use secure_callbacks_harness::tools::{self, ProxyKind};

/// A test on one proxy.
type Test = fn(ProxyKind) -> Result<()>;

/// The test that needs a program which is not always there.
const PROMTOOL: &str = "promtool_accepts_the_metrics";

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        trial("operations::page::every_code_has_a_row".into(), runbook::every_code),
        trial("operations::metrics::the_reader_is_strict".into(), exposition::is_strict),
        trial("operations::queries::are_checked".into(), queries::are_checked),
    ];
    let promtool = promtool::missing();
    trials.push(unless(
        promtool,
        "operations::promtool::the_alert_rules_fire_when_they_should".into(),
        promtool::rules,
    ));
    let on_proxies: [(&str, Test); 7] = [
        ("the_runbook_works_as_it_is_printed", runbook::whole),
        ("a_mounted_secret_is_rotated_without_a_lost_callback", mounted::rotated),
        ("faults_change_nothing", faults::change_nothing),
        ("a_policy_s_secret_opens_its_own_path_alone", routes::one_secret_one_path),
        ("metrics_are_well_formed_and_survive_a_change", metrics::read),
        ("every_query_finds_what_the_proxy_shows", queries::find_what_they_ask),
        (PROMTOOL, promtool::metrics),
    ];
    for kind in ProxyKind::WITHOUT_MODULE {
        let missing = tools::find(kind).err().filter(|_| tools::skipping_is_allowed());
        let missing = missing.map(|error| format!("{error:#}"));
        for (name, test) in on_proxies {
            let reason = missing.as_deref().or(promtool.filter(|_| name == PROMTOOL));
            trials.push(unless(reason, format!("operations::{}::{name}", kind.name()), move || test(kind)));
        }
        if !kind.is_nginx() {
            let name = format!("operations::{}::a_misspelt_route_is_closed", kind.name());
            trials.push(unless(missing.as_deref(), name, routes::misspelt_route));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    proxy::finish(conclusion.has_failed());
    conclusion.exit();
}

/// A test that is left out for a reason, if there is one.
fn unless(reason: Option<&str>, name: String, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    match reason {
        Some(reason) => trial(name, || Ok(())).with_kind(reason).with_ignored_flag(true),
        None => trial(name, test),
    }
}

fn trial(name: String, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || test().map_err(|error| format!("{error:#}").into()))
}
