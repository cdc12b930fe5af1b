//! A configuration as Envoy has it: its metrics, and its call every so often.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::calls::{
    Bytes, Change, ChangeWithoutRequest, Define, Envoys, MetricId, change_without_request, define_counter,
    define_gauge, define_histogram, is_validation, lent, scheduler_commit, scheduler_delete, scheduler_new,
};

/// `envoy_dynamic_module_type_metrics_result_Success`.
const METRIC_DONE: u32 = 0;

/// A configuration of the filter's, as Envoy has it.
pub(crate) struct Configuration(NonNull<c_void>);

impl Configuration {
    /// # Safety
    /// Envoy has handed it to the hook that is running, and the value is gone when that returns.
    pub(crate) unsafe fn new(config: Envoys) -> Option<Self> {
        NonNull::new(config).map(Self)
    }

    /// Makes a counter. Only while the configuration is made.
    pub(crate) fn counter<const N: usize>(&self, name: &str, labels: [&str; N]) -> Option<MetricId> {
        self.define(define_counter, name, labels)
    }

    /// Makes a gauge. Only while the configuration is made.
    pub(crate) fn gauge<const N: usize>(&self, name: &str, labels: [&str; N]) -> Option<MetricId> {
        self.define(define_gauge, name, labels)
    }

    /// Makes a histogram. Only while the configuration is made.
    pub(crate) fn histogram<const N: usize>(&self, name: &str, labels: [&str; N]) -> Option<MetricId> {
        self.define(define_histogram, name, labels)
    }

    fn define<const N: usize>(&self, define: Define, name: &str, labels: [&str; N]) -> Option<MetricId> {
        let (labels, mut id) = (lent(labels), 0);
        // SAFETY: the configuration is valid; names and `id` outlive the call, and Envoy keeps no pointer to them.
        let done = unsafe {
            define(self.0.as_ptr(), Bytes::lent(name.as_bytes()), labels.as_ptr(), labels.len(), &raw mut id)
        };
        (done == METRIC_DONE).then_some(id)
    }

    /// Has a counter there with these labels, at zero if it is new.
    pub(crate) fn show_counter<const N: usize>(&self, id: MetricId, labels: [&str; N]) {
        if let Some(ChangeWithoutRequest { increment_counter, .. }) = change_without_request() {
            self.change(*increment_counter, id, labels, 0);
        }
    }

    /// Adds to a counter.
    pub(crate) fn add_to<const N: usize>(&self, id: MetricId, labels: [&str; N], by: u64) {
        if let Some(ChangeWithoutRequest { increment_counter, .. }) = change_without_request() {
            self.change(*increment_counter, id, labels, by);
        }
    }

    /// Sets a gauge.
    pub(crate) fn set_gauge<const N: usize>(&self, id: MetricId, labels: [&str; N], to: u64) {
        if let Some(ChangeWithoutRequest { set_gauge, .. }) = change_without_request() {
            self.change(*set_gauge, id, labels, to);
        }
    }

    fn change<const N: usize>(&self, change: Change, id: MetricId, labels: [&str; N], value: u64) {
        let labels = lent(labels);
        // SAFETY: the configuration is valid; the labels outlive the call.
        let _ = unsafe { change(self.0.as_ptr(), id, labels.as_ptr(), labels.len(), value) };
    }

    /// What has a hook called with this configuration from another thread; `None` where Envoy only validates.
    pub(crate) fn scheduler(&self) -> Option<Scheduler> {
        if is_validation() {
            return None;
        }
        // SAFETY: the configuration is valid.
        NonNull::new(unsafe { scheduler_new(self.0.as_ptr()) }).map(Scheduler)
    }
}

/// Has Envoy's main thread call `http_filter_config_scheduled`, if the configuration is still there.
pub(crate) struct Scheduler(NonNull<c_void>);

// SAFETY: Envoy takes it from any thread.
unsafe impl Send for Scheduler {}

impl Scheduler {
    /// Asks for one call.
    pub(crate) fn commit(&self) {
        // SAFETY: Envoy made it, and it lives as long as this.
        unsafe { scheduler_commit(self.0.as_ptr(), 0) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: Envoy made it, and nobody has it any more.
        unsafe { scheduler_delete(self.0.as_ptr()) }
    }
}
