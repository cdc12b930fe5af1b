//! One configuration of the filter's, or of a route's.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secure_callbacks_envoy::Protection;

use crate::abi::Configuration;
use crate::configuration::protect;
use crate::host::{ModuleHost, now};
use crate::metrics::Metrics;
use crate::replay;
use crate::routes::Routes;
use crate::ticker::Ticking;

/// A policy at work, for all workers.
pub(crate) type Policy = Arc<Protection<ModuleHost>>;

/// One configuration of the filter's. Every worker has it at once.
pub(crate) struct Plugin {
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    /// Up to which route the counters are there.
    shown: AtomicU64,
    _ticking: Option<Ticking>,
}

const _: () = {
    const fn for_every_worker<T: Send + Sync>() {}
    for_every_worker::<Plugin>();
};

impl Plugin {
    /// `None`: it is refused, and the log says why.
    pub(crate) fn new(envoy: &Configuration, name: &[u8], configuration: &[u8]) -> Option<Self> {
        let policy = Arc::new(protect(name, configuration)?);
        let metrics = Metrics::define(envoy);
        metrics.show(envoy, policy.metrics());
        let ticking = envoy.scheduler().map(Ticking::start);
        let plugin = Self { policy, metrics, shown: AtomicU64::new(0), _ticking: ticking };
        plugin.tick(envoy);
        Some(plugin)
    }

    /// Shows what is remembered, and the counters of routes that have come since, on the main thread.
    pub(crate) fn tick(&self, envoy: &Configuration) {
        let seen = self.shown.load(Ordering::Relaxed);
        let seen = ROUTES.since(seen, |policy| self.metrics.show(envoy, policy.metrics()));
        self.shown.store(seen, Ordering::Relaxed);
        replay::process().each(now(), |policy, entries| self.metrics.set_entries(envoy, policy, entries.into()));
    }
}

/// A route's own policy, in the place of the filter's, as Envoy has it: by a number. (A route's configuration may as well
/// name another module, whose pointer Envoy then hands to this one: that is no number of ours, and refuses the request.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutePolicy(pub(crate) usize);

static ROUTES: Routes<Protection<ModuleHost>> = Routes::new();

impl RoutePolicy {
    /// `None`: it is refused, and the log says why.
    pub(crate) fn new(name: &[u8], configuration: &[u8]) -> Option<Self> {
        protect(name, configuration).map(|policy| Self(ROUTES.add(policy)))
    }

    /// The policy; `None`: it is no number of this module's.
    pub(crate) fn policy(self) -> Option<Policy> {
        ROUTES.get(self.0)
    }

    /// The route is gone.
    pub(crate) fn forget(self) {
        ROUTES.remove(self.0);
    }
}
