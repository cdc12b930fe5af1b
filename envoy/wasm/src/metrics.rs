//! The metrics and their names.
//!
//! Envoy has no labels of its own for a module's metrics; it cuts them out of the name by rules in the bootstrap. With
//! these, Prometheus sees `secure_callbacks_requests_total{policy="video",result="accepted"}` and
//! `secure_callbacks_replay_entries{policy="video"}`:
//!
//! ```yaml
//! stats_config:
//!   stats_tags:
//!   - { tag_name: policy, regex: '^wasmcustom\.secure_callbacks_\w+(\.policy\.([\w-]+))' }
//!   - { tag_name: result, regex: '^wasmcustom\.secure_callbacks_\w+\.policy\.[\w-]+(\.result\.(\w+))' }
//! ```

use secure_callbacks::Code;
use secure_callbacks::names::{REPLAY_ENTRIES, REQUESTS_TOTAL};

/// The host's number for a metric.
pub type MetricId = u32;

/// Where metrics are made.
pub trait Registry {
    /// Makes a counter, or finds the one of that name; `None` if the host can't.
    fn counter(&self, name: &str) -> Option<MetricId>;

    /// Makes a gauge, or finds the one of that name; `None` if the host can't.
    fn gauge(&self, name: &str) -> Option<MetricId>;
}

/// The metrics of one policy.
#[derive(Debug)]
pub struct Metrics {
    /// By the code's index.
    requests: [Option<MetricId>; Code::COUNT],
    replay_entries: Option<MetricId>,
}

impl Metrics {
    /// Makes every metric of a policy, so that each result is there from the start, at zero.
    #[must_use]
    pub fn define(policy: &str, replay: bool, registry: &impl Registry) -> Self {
        let mut requests = [None; Code::COUNT];
        for (place, code) in requests.iter_mut().zip(Code::all()) {
            let code = code.as_str();
            *place = registry.counter(&format!("{REQUESTS_TOTAL}.policy.{policy}.result.{code}"));
        }
        let gauge = || registry.gauge(&format!("{REPLAY_ENTRIES}.policy.{policy}"));
        Self { requests, replay_entries: replay.then(gauge).flatten() }
    }

    /// The counter of requests that came to `code`.
    #[must_use]
    pub fn requests(&self, code: Code) -> Option<MetricId> {
        self.requests.get(code.index()).copied().flatten()
    }

    /// The gauge of callbacks that are remembered.
    #[must_use]
    pub fn replay_entries(&self) -> Option<MetricId> {
        self.replay_entries
    }
}
