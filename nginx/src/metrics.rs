//! The answer of `secure_callbacks_metrics`: Prometheus's text format, version 0.0.4.
#![forbid(unsafe_code)]

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use secure_callbacks::names::{
    REPLAY_ENTRIES, REPLAY_STORE_CALLS_TOTAL, REPLAY_STORE_MILLISECONDS, REPLAY_STORE_OPEN, REQUESTS_TOTAL,
};
use secure_callbacks::replay::shared::BUCKETS;

use crate::conf::MainConf;

/// The format's media type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Every policy's counters and gauges.
pub(crate) fn text(main: &MainConf, now: i64) -> String {
    let mut text = format!(
        "# HELP {REQUESTS_TOTAL} Callbacks by policy and verdict.\n\
         # TYPE {REQUESTS_TOTAL} counter\n",
    );
    for policy in &main.policies {
        let name = policy.name();
        for (result, count) in policy.counts() {
            let labels = format!("policy=\"{name}\",result=\"{result}\"");
            text.push_str(&format!("{REQUESTS_TOTAL}{{{labels}}} {count}\n"));
        }
    }
    text.push_str(&format!(
        "# HELP {REPLAY_ENTRIES} Callbacks that are remembered now, or on their way.\n\
         # TYPE {REPLAY_ENTRIES} gauge\n",
    ));
    for policy in &main.policies {
        if let Some(entries) = policy.remembered(now) {
            text.push_str(&format!("{REPLAY_ENTRIES}{{policy=\"{}\"}} {entries}\n", policy.name()));
        }
    }
    add_shared_stores(&mut text, main);
    text
}

/// What shared stores were asked, where there are any.
fn add_shared_stores(text: &mut String, main: &MainConf) {
    let sharing: Vec<_> = main.policies.iter().filter_map(|policy| Some((policy.name(), policy.asked()?))).collect();
    if sharing.is_empty() {
        return;
    }
    text.push_str(&format!(
        "# HELP {REPLAY_STORE_CALLS_TOTAL} What the shared replay store was asked, by operation and outcome.\n\
         # TYPE {REPLAY_STORE_CALLS_TOTAL} counter\n",
    ));
    for (name, tally) in &sharing {
        for (operation, outcome, calls) in tally.calls() {
            let (operation, outcome) = (operation.as_str(), outcome.as_str());
            let labels = format!("policy=\"{name}\",operation=\"{operation}\",outcome=\"{outcome}\"");
            text.push_str(&format!("{REPLAY_STORE_CALLS_TOTAL}{{{labels}}} {calls}\n"));
        }
    }
    text.push_str(&format!(
        "# HELP {REPLAY_STORE_MILLISECONDS} How long its answers took.\n\
         # TYPE {REPLAY_STORE_MILLISECONDS} histogram\n",
    ));
    for (name, tally) in &sharing {
        let (counts, sum) = tally.times();
        let bounds = BUCKETS.iter().map(ToString::to_string).chain(["+Inf".into()]);
        for (bound, count) in bounds.zip(counts) {
            text.push_str(&format!("{REPLAY_STORE_MILLISECONDS}_bucket{{policy=\"{name}\",le=\"{bound}\"}} {count}\n"));
        }
        let sum = sum.as_secs_f64() * 1000.0;
        let count = counts.last().copied().unwrap_or_default();
        text.push_str(&format!("{REPLAY_STORE_MILLISECONDS}_sum{{policy=\"{name}\"}} {sum}\n"));
        text.push_str(&format!("{REPLAY_STORE_MILLISECONDS}_count{{policy=\"{name}\"}} {count}\n"));
    }
    text.push_str(&format!(
        "# HELP {REPLAY_STORE_OPEN} Whether it is not asked now, because it did not answer (1).\n\
         # TYPE {REPLAY_STORE_OPEN} gauge\n",
    ));
    for (name, tally) in &sharing {
        text.push_str(&format!("{REPLAY_STORE_OPEN}{{policy=\"{name}\"}} {}\n", u8::from(tally.is_open())));
    }
}
