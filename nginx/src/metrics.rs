//! The answer of `secure_callbacks_metrics`: Prometheus's text format, version 0.0.4.
#![forbid(unsafe_code)]

use std::format;
use std::string::String;

use crate::conf::MainConf;

/// The format's media type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Every policy's counters and gauges.
pub(crate) fn text(main: &MainConf, now: i64) -> String {
    let mut text = String::from(
        "# HELP secure_callbacks_requests_total Callbacks by policy and verdict.\n\
         # TYPE secure_callbacks_requests_total counter\n",
    );
    for policy in &main.policies {
        let name = policy.name();
        for (result, count) in policy.counts() {
            let labels = format!("policy=\"{name}\",result=\"{result}\"");
            text.push_str(&format!("secure_callbacks_requests_total{{{labels}}} {count}\n"));
        }
    }
    text.push_str(
        "# HELP secure_callbacks_replay_entries Callbacks that are remembered now, or on their way.\n\
         # TYPE secure_callbacks_replay_entries gauge\n",
    );
    for policy in &main.policies {
        if let Some(entries) = policy.remembered(now) {
            text.push_str(&format!("secure_callbacks_replay_entries{{policy=\"{}\"}} {entries}\n", policy.name()));
        }
    }
    text
}
