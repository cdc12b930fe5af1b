//! Replays: remembering the callbacks that were accepted, for as long as their tokens could be accepted again.

mod census;
pub mod generations;
mod table;
#[cfg(test)]
mod tests;
mod window;

use sha2::{Digest, Sha256};

use crate::time::UnixSeconds;

pub use census::Census;
pub use table::Table;
pub use window::{Layout, Place, SLOT_BYTES, Slot, Window};

/// How long a reservation waits for the upstream's answer before it lapses: the proxies' usual upstream time-out. Where
/// workers can die by themselves (Nginx), one that dies holding a reservation costs the sender a wait, not the event.
pub const PENDING_SECONDS: UnixSeconds = 60;

/// Names a callback: 128 bits of SHA-256 over account and `jti`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    pub(crate) fn new(api_key: &str, jti: &str) -> Self {
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
    pub(crate) fn new(key: Key, owner: u32, now: UnixSeconds, kept_until: UnixSeconds) -> Self {
        // 0 marks a slot that is kept.
        Self { key, owner: owner.max(1), pending_until: now.saturating_add(PENDING_SECONDS), kept_until }
    }

    pub(super) fn pending_stamp(&self) -> u32 {
        window::stamp(self.pending_until)
    }

    pub(super) fn kept_stamp(&self) -> u32 {
        window::stamp(self.kept_until)
    }

    /// The same with a place that does not wait for [`ReplayStore::keep`] and does not lapse: for a store whose workers
    /// can't die by themselves, and that looks after what awaits its answer.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { pending_until: self.kept_until, ..self }
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

/// What a store says to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is made: nobody has reserved this callback.
    Fresh,
    /// This callback was taken before, or it is on its way and the store can't tell the two apart.
    Seen,
    /// This callback is on its way, and its answer is not known yet.
    InFlight,
    /// There is no room.
    Full,
    /// The store can't tell.
    Unavailable,
}

/// Remembers callbacks across all of a proxy's workers.
///
/// - A false [`Answer::Seen`] refuses a callback that nobody took: the event is lost if the sender gives up. The store
///   must therefore compare whole keys and let go of what was released or has expired.
/// - A false [`Answer::Fresh`] delivers a callback twice: what an attacker who captured it wants. The store must
///   therefore be one for all workers, reserve in one atomic step, and say [`Answer::Full`] rather than forget.
pub trait ReplayStore {
    /// Reserves in one atomic step: of any number at once for one key, one gets [`Answer::Fresh`].
    fn reserve(&mut self, reservation: &Reservation, now: UnixSeconds) -> Answer;

    /// The upstream took the callback: it is remembered until its token can't be accepted any more.
    fn keep(&mut self, reservation: &Reservation, now: UnixSeconds);

    /// The upstream did not take it: the same token may come again.
    fn release(&mut self, reservation: &Reservation, now: UnixSeconds);
}

/// A store that remembers nothing, and therefore takes nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoStore;

impl ReplayStore for NoStore {
    fn reserve(&mut self, _: &Reservation, _: UnixSeconds) -> Answer {
        Answer::Unavailable
    }

    fn keep(&mut self, _: &Reservation, _: UnixSeconds) {}

    fn release(&mut self, _: &Reservation, _: UnixSeconds) {}
}
