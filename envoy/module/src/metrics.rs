//! The metrics. Envoy has labels for a module's, so one counter and one gauge serve every policy.
#![forbid(unsafe_code)]

use secure_callbacks::Code;
use secure_callbacks::names::{REPLAY_ENTRIES, REQUESTS_TOTAL};

use crate::abi::{Configuration, MetricId, Stream};

/// The metrics of one configuration; one that could not be made is not written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metrics {
    requests: Option<MetricId>,
    replay_entries: Option<MetricId>,
}

impl Metrics {
    /// Makes them.
    pub(crate) fn define(configuration: &Configuration) -> Self {
        let requests = configuration.counter(REQUESTS_TOTAL, ["policy", "result"]);
        let replay_entries = configuration.gauge(REPLAY_ENTRIES, ["policy"]);
        if requests.is_none() || replay_entries.is_none() {
            log::error!("secure_callbacks: not all metrics can be made");
        }
        Self { requests, replay_entries }
    }

    /// Counts a verdict.
    pub(crate) fn count(&self, stream: &Stream, policy: &str, code: Code) {
        if let Some(id) = self.requests {
            stream.count(id, [policy, code.as_str()]);
        }
    }

    /// Has each result of a policy there from the start, at zero.
    pub(crate) fn show(&self, envoy: &Configuration, policy: &str) {
        if let Some(id) = self.requests {
            Code::all().for_each(|code| envoy.show_counter(id, [policy, code.as_str()]));
        }
    }

    /// Sets the gauge.
    pub(crate) fn set_entries(&self, envoy: &Configuration, policy: &str, entries: u64) {
        if let Some(id) = self.replay_entries {
            envoy.set_gauge(id, [policy], entries);
        }
    }

    /// Sets the gauge, within a request.
    pub(crate) fn set_entries_by(&self, stream: &Stream, policy: &str, entries: u64) {
        if let Some(id) = self.replay_entries {
            stream.set_gauge(id, [policy], entries);
        }
    }
}
