//! One configured policy, with what it needs while it serves. Requests hold on to the one they began with, so a
//! configuration update leaves them alone.

use std::fmt;

use secure_callbacks::{Answer, Policy, Reservation, Settled, UnixSeconds, Verifier};

use crate::certificates::Certificates;
use crate::host::Host;

/// A policy at work.
pub struct Protection<H: Host> {
    verifier: Verifier,
    metrics: H::Metrics,
    store: Option<H::Store>,
    shared_store: Option<H::SharedStore>,
    certificates: Certificates,
}

impl<H: Host> Protection<H> {
    /// A policy with its metrics and with what remembers its callbacks; `None`: the policy does not ask for it, or it
    /// does not work. Then nothing is reserved, and the core refuses what the policy would have remembered.
    #[must_use]
    pub fn new(policy: Policy, metrics: H::Metrics, store: Option<H::Store>) -> Self {
        let (verifier, certificates) = (Verifier::new(policy), Certificates::default());
        Self { verifier, metrics, store, shared_store: None, certificates }
    }

    /// The same with the store that the policy shares with others.
    #[must_use]
    pub fn sharing(self, shared_store: Option<H::SharedStore>) -> Self {
        Self { shared_store, ..self }
    }

    /// The verifier.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The policy's metrics.
    #[must_use]
    pub fn metrics(&self) -> &H::Metrics {
        &self.metrics
    }

    /// What remembers its callbacks.
    #[must_use]
    pub fn store(&self) -> Option<&H::Store> {
        self.store.as_ref()
    }

    /// What is known of the clients' certificates.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    pub(crate) fn reserve(&self, reservation: &Reservation, host: &H, now: UnixSeconds) -> Answer {
        self.store.as_ref().map_or(Answer::Unavailable, |store| host.reserve(store, reservation, now))
    }

    pub(crate) fn settle(&self, settled: &Settled, host: &H, now: UnixSeconds) {
        if let Some(store) = &self.store {
            host.settle(store, settled, now);
        }
        if let Some(store) = self.shared_store.as_ref().filter(|_| settled.is_everywhere()) {
            host.settle_shared(store, settled, now);
        }
    }

    /// Whether the shared store is asked, and will answer.
    pub(crate) fn reserve_shared(&self, reservation: &Reservation, host: &H) -> bool {
        self.shared_store.as_ref().is_some_and(|store| host.reserve_shared(store, reservation))
    }

    /// What it shares with others.
    #[must_use]
    pub fn shared_store(&self) -> Option<&H::SharedStore> {
        self.shared_store.as_ref()
    }
}

impl<H: Host> fmt::Debug for Protection<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
