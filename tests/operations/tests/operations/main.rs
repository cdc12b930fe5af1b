//! What an operator does and reads, on real proxies: the runbook's own commands, rotation under load, metrics, alert
//! rules and the dashboard. `operations::<proxy>::<test>`.
//!
//! The page names fixed ports (18190 to 18194), so its tests run one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod exposition;
mod faults;
mod first_hour;
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
use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools::ProxyKind;

/// A test on one proxy.
type Test = fn(ProxyKind) -> Result<()>;

/// The test that needs a program which is not always there.
const PROMTOOL: &str = "promtool_accepts_the_metrics";

fn main() {
    let mut suite = Suite::new("operations", 2);
    suite.add("metrics::the_reader_is_strict", None, exposition::is_strict);
    suite.add("queries::are_checked", None, queries::are_checked);
    let promtool = promtool::missing();
    suite.add("promtool::the_alert_rules_fire_when_they_should", promtool, promtool::rules);
    let on_proxies: [(&str, Test); 7] = [
        ("the_runbook_works_as_it_is_printed", runbook::whole),
        ("a_mounted_secret_is_rotated_without_a_lost_callback", mounted::rotated),
        ("faults_change_nothing", faults::change_nothing),
        ("a_policy_s_secret_opens_its_own_path_alone", routes::one_secret_one_path),
        ("metrics_are_well_formed_and_survive_a_change", metrics::read),
        ("every_query_finds_what_the_proxy_shows", queries::find_what_they_ask),
        (PROMTOOL, promtool::metrics),
    ];
    for kind in ProxyKind::all() {
        let mut tests = suite.on(kind);
        for (name, test) in on_proxies {
            tests.add_unless(promtool.filter(|_| name == PROMTOOL), name, move || test(kind));
        }
        if !kind.is_nginx() {
            tests.add("a_misspelt_route_is_closed", move || routes::misspelt_route(kind));
            tests.add("the_example_starts_as_it_says", move || first_hour::the_example(kind));
            tests.add("the_pages_lines_work", move || first_hour::of_the_pages(kind));
        }
    }
    suite.run(());
}
