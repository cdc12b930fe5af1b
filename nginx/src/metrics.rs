//! The answer of `secure_callbacks_metrics`: Prometheus's text format, version 0.0.4.
#![forbid(unsafe_code)]

use std::format;
use std::string::String;

use secure_callbacks::names::{REPLAY_ENTRIES, REQUESTS_TOTAL};

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
    text
}
