//! One callback's place in a store: its key, who may give it back, and for how long it counts.

use sha2::{Digest, Sha256};

use crate::time::UnixSeconds;

/// How long a reservation waits for the upstream's answer before it lapses: the proxies' usual upstream time-out. Where
/// workers can die by themselves (Nginx), one that dies holding a reservation costs the sender a wait, not the event.
pub const PENDING_SECONDS: UnixSeconds = 60;

/// Names a callback: 128 bits of SHA-256 over account and `jti`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// Of a callback's account and `jti`.
    #[must_use]
    pub fn new(api_key: &str, jti: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(api_key);
        // Neither claim can hold it, so no two pairs give one text.
        hasher.update([0]);
        hasher.update(jti);
        let mut key = [0; 16];
        for (byte, hashed) in key.iter_mut().zip(hasher.finalize()) {
            *byte = hashed;
        }
        Self(key)
    }

    /// The key's bytes, evenly spread.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One callback's place in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    key: Key,
    owner: u32,
    pending_until: UnixSeconds,
    kept_until: UnixSeconds,
}

impl Reservation {
    /// A place of `owner`, a number that no other request of this process has now. It lapses after [`PENDING_SECONDS`];
    /// once it is kept, it stays until `kept_until`.
    #[must_use]
    pub fn new(key: Key, owner: u32, now: UnixSeconds, kept_until: UnixSeconds) -> Self {
        // 0 marks a slot that is kept.
        Self { key, owner: owner.max(1), pending_until: now.saturating_add(PENDING_SECONDS), kept_until }
    }

    /// Whose slot it is; never 0.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// Until when it waits for the upstream's answer.
    pub(super) fn pending_until(&self) -> UnixSeconds {
        self.pending_until
    }

    /// Until when it is remembered, once the upstream took the callback.
    pub(super) fn kept_until(&self) -> UnixSeconds {
        self.kept_until
    }

    /// The same with a place that does not wait for [`ReplayStore::keep`](super::ReplayStore::keep) and does not lapse: for a store whose workers
    /// can't die by themselves, and that looks after what awaits its answer.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { pending_until: self.kept_until, ..self }
    }

    /// The same, remembered until then at least: for a store that policies share which remember for different times.
    #[must_use]
    pub fn kept_at_least_until(self, until: UnixSeconds) -> Self {
        Self { kept_until: self.kept_until.max(until), ..self }
    }

    /// Whether it has waited for the upstream's answer for as long as it may: never before, and at most a second after.
    #[must_use]
    pub fn has_lapsed(&self, now: UnixSeconds) -> bool {
        now > self.pending_until
    }

    /// Whose place it is.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }
}
