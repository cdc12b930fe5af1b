//! The metrics. Envoy has labels for a module's, so one counter and one gauge serve every policy.
#![forbid(unsafe_code)]

use std::time::Duration;

use secure_callbacks::Code;
use secure_callbacks::names::{
    REPLAY_ENTRIES, REPLAY_STORE_CALLS_TOTAL, REPLAY_STORE_MILLISECONDS, REPLAY_STORE_OPEN, REQUESTS_TOTAL,
};
use secure_callbacks::replay::shared::Tally;

use crate::abi::{Configuration, MetricId, Stream};

/// The metrics of one configuration; one that could not be made is not written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metrics {
    requests: Option<MetricId>,
    replay_entries: Option<MetricId>,
    store_calls: Option<MetricId>,
    store_milliseconds: Option<MetricId>,
    store_open: Option<MetricId>,
}

impl Metrics {
    /// Makes them.
    pub(crate) fn define(configuration: &Configuration) -> Self {
        let requests = configuration.counter(REQUESTS_TOTAL, ["policy", "result"]);
        let replay_entries = configuration.gauge(REPLAY_ENTRIES, ["policy"]);
        let store_calls = configuration.counter(REPLAY_STORE_CALLS_TOTAL, ["policy", "operation", "outcome"]);
        let store_milliseconds = configuration.histogram(REPLAY_STORE_MILLISECONDS, ["policy"]);
        let store_open = configuration.gauge(REPLAY_STORE_OPEN, ["policy"]);
        let all = [requests, replay_entries, store_calls, store_milliseconds, store_open];
        if all.iter().any(Option::is_none) {
            log::error!("secure_callbacks: not all metrics can be made");
        }
        Self { requests, replay_entries, store_calls, store_milliseconds, store_open }
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

    /// Notes how long a shared store took to answer.
    pub(crate) fn store_took(&self, stream: &Stream, policy: &str, time: Duration) {
        if let Some(id) = self.store_milliseconds {
            stream.record(id, [policy], u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// Shows what a shared store was asked since the last time.
    pub(crate) fn set_store(&self, envoy: &Configuration, policy: &str, tally: &Tally) {
        if let Some(id) = self.store_open {
            envoy.set_gauge(id, [policy], tally.is_open().into());
        }
        if let Some(id) = self.store_calls {
            for (operation, outcome, calls) in tally.take_calls().filter(|(_, _, calls)| *calls > 0) {
                envoy.add_to(id, [policy, operation.as_str(), outcome.as_str()], calls);
            }
        }
    }

    /// The same within a request.
    pub(crate) fn set_store_by(&self, stream: &Stream, policy: &str, tally: &Tally) {
        if let Some(id) = self.store_open {
            stream.set_gauge(id, [policy], tally.is_open().into());
        }
        if let Some(id) = self.store_calls {
            for (operation, outcome, calls) in tally.take_calls().filter(|(_, _, calls)| *calls > 0) {
                stream.add_to(id, [policy, operation.as_str(), outcome.as_str()], calls);
            }
        }
    }
}
