//! One configuration of the filter's, or of a route's.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use secure_callbacks_envoy::Protection;

use crate::abi::Configuration;
use crate::configuration::protect;
use crate::host::{ModuleHost, now};
use crate::metrics::Metrics;
use crate::replay;
use crate::shared_store::Link;
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
        Link::each(|policy, tally| self.metrics.set_store(envoy, policy, tally));
        replay::process().each(now(), |policy, entries| self.metrics.set_entries(envoy, policy, entries.into()));
    }
}

/// A route's own policy, in the place of the filter's, as Envoy has it: by a number. (A route's configuration may as well
/// name another module, whose pointer Envoy then hands to this one: that is no number of ours, and refuses the request.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoutePolicy(pub(crate) usize);

static ROUTES: RwLock<BTreeMap<RoutePolicy, Policy>> = RwLock::new(BTreeMap::new());

impl RoutePolicy {
    /// `None`: it is refused, and the log says why.
    pub(crate) fn new(name: &[u8], configuration: &[u8]) -> Option<Self> {
        let policy = policy(name, configuration)?;
        // Nobody else has its address while it is there.
        let number = Self(Arc::as_ptr(&policy).addr());
        ROUTES.write().unwrap_or_else(PoisonError::into_inner).insert(number, policy);
        Some(number)
    }

    /// The policy; `None`: it is no number of this module's.
    pub(crate) fn policy(self) -> Option<Policy> {
        ROUTES.read().unwrap_or_else(PoisonError::into_inner).get(&self).map(Arc::clone)
    }

    /// The route is gone.
    pub(crate) fn forget(self) {
        let policy = ROUTES.write().unwrap_or_else(PoisonError::into_inner).remove(&self);
        drop(policy);
    }
}

fn policy(name: &[u8], configuration: &[u8]) -> Option<Policy> {
    let protection = protect(name, configuration)?;
    names().insert(protection.metrics().to_string());
    Some(Arc::new(protection))
}
