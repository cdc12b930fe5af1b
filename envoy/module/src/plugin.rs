//! One configuration of the filter's, or of a route's.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secure_callbacks_envoy::Protection;

use crate::abi::Configuration;
use crate::configuration::protect;
use crate::host::{ModuleHost, now};
use crate::metrics::Metrics;
use crate::replay;
use crate::ticker::Ticking;

/// A policy at work, for all workers.
pub(crate) type Policy = Arc<Protection<ModuleHost>>;

/// One configuration of the filter's.
pub(crate) struct Plugin {
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    /// Of how many policies the counters are there.
    shown: AtomicUsize,
    _ticking: Option<Ticking>,
}

/// The names of all policies so far, those of routes among them: those have no metrics of their own.
fn names() -> MutexGuard<'static, BTreeSet<String>> {
    static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plugin {
    /// `None`: it is refused, and the log says why.
    pub(crate) fn new(envoy: &Configuration, name: &[u8], configuration: &[u8]) -> Option<Self> {
        let policy = policy(name, configuration)?;
        let metrics = Metrics::define(envoy);
        let ticking = envoy.scheduler().map(Ticking::start);
        let plugin = Self { policy, metrics, shown: AtomicUsize::new(0), _ticking: ticking };
        plugin.tick(envoy);
        Some(plugin)
    }

    /// Shows what is remembered, and the counters of policies that have come since, on the main thread.
    pub(crate) fn tick(&self, envoy: &Configuration) {
        let names = names();
        if self.shown.swap(names.len(), Ordering::Relaxed) != names.len() {
            names.iter().for_each(|name| self.metrics.show(envoy, name));
        }
        drop(names);
        replay::process().each(now(), |policy, entries| self.metrics.set_entries(envoy, policy, entries.into()));
    }
}

/// A route's own policy, in the place of the filter's.
pub(crate) struct RoutePolicy(pub(crate) Policy);

impl RoutePolicy {
    /// `None`: it is refused, and the log says why.
    pub(crate) fn new(name: &[u8], configuration: &[u8]) -> Option<Self> {
        policy(name, configuration).map(Self)
    }
}

fn policy(name: &[u8], configuration: &[u8]) -> Option<Policy> {
    let protection = protect(name, configuration)?;
    names().insert(protection.metrics().to_string());
    Some(Arc::new(protection))
}
