//! One configured policy, with what it needs while it serves. Requests hold on to the one they began with, so a
//! configuration update leaves them alone.

use secure_callbacks::UnixSeconds;
use secure_callbacks::{Answer, PolicyError, ReplayStore, Reservation, SecretSource, Verifier};

use crate::configuration;
use crate::filter::Certificates;
use crate::metrics::{Metrics, Registry};
use crate::native_hash::{ForeignFunctions, NativeHash};
use crate::replay::Tables;
use crate::shared_data::{SharedData, is_news, key};

/// A policy at work.
#[derive(Debug)]
pub struct Protection {
    verifier: Verifier,
    metrics: Metrics,
    /// `None`: the policy does not ask for it, or shared data does not work; then nothing is reserved and the core
    /// refuses.
    tables: Option<Tables>,
    certificates: Certificates,
    native_hash: Option<NativeHash>,
}

impl Protection {
    /// Reads a plugin's configuration and makes ready what it asks for.
    ///
    /// # Errors
    /// The first bad entry, by its place.
    pub fn configure(
        configuration: &[u8],
        secrets: &dyn SecretSource,
        host: &(impl SharedData + Registry + ForeignFunctions),
        now: UnixSeconds,
    ) -> Result<Self, PolicyError> {
        let policy = configuration::read(configuration)?.resolve(secrets)?;
        let tables = if policy.replay() { Tables::open(&policy, host, now) } else { None };
        let metrics = Metrics::define(policy.name(), policy.replay(), host);
        Ok(Self {
            verifier: Verifier::new(policy),
            metrics,
            tables,
            certificates: Certificates::default(),
            native_hash: NativeHash::probe(host),
        })
    }

    /// The secrets that are worth a warning, by their places; none if another worker has warned of the same.
    pub fn short_secrets_to_warn_of(&self, data: &impl SharedData) -> &[String] {
        let policy = self.verifier.policy();
        let places = policy.short_secrets();
        let news =
            !places.is_empty() && is_news(data, &key(policy.name(), "short_secrets"), places.join(" ").as_bytes());
        if news { places } else { &[] }
    }

    /// The verifier.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What is known of the clients' certificates.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Envoy's own SHA-256, if it can be had.
    pub(crate) fn native_hash(&self) -> Option<NativeHash> {
        self.native_hash
    }

    /// The policy's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reserves a callback.
    pub fn reserve(&self, reservation: &Reservation, data: &impl SharedData, now: UnixSeconds) -> Answer {
        match &self.tables {
            Some(tables) => tables.on(data).reserve(reservation, now),
            None => Answer::Unavailable,
        }
    }

    /// The application took the callback: it is remembered.
    pub fn keep(&self, reservation: &Reservation, data: &impl SharedData, now: UnixSeconds) {
        if let Some(tables) = &self.tables {
            tables.on(data).keep(reservation, now);
        }
    }

    /// It did not: the same token may come again.
    pub fn release(&self, reservation: &Reservation, data: &impl SharedData, now: UnixSeconds) {
        if let Some(tables) = &self.tables {
            tables.on(data).release(reservation, now);
        }
    }

    /// Releases the callbacks whose answer has been awaited for too long. To be called every second or so.
    pub fn lapse(&self, data: &impl SharedData, now: UnixSeconds) {
        if let Some(tables) = &self.tables {
            tables.on(data).lapse(now);
        }
    }

    /// Releases all callbacks whose answer is awaited: this worker's sandbox ends, and Envoy fails their requests.
    pub fn abandon(&self, data: &impl SharedData, now: UnixSeconds) {
        if let Some(tables) = &self.tables {
            tables.on(data).abandon(now);
        }
    }

    /// Counts a part of the callbacks that are remembered; every [`PARTS`](crate::replay::PARTS)th time the sum of all.
    pub fn count_on(&self, data: &impl SharedData, now: UnixSeconds) -> Option<u64> {
        self.tables.as_ref()?.count_on(data, now).and_then(|live| u64::try_from(live).ok())
    }
}
