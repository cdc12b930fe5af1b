//! A policy in force: its verifier and its shared memory.
#![forbid(unsafe_code)]

use core::cell::Cell;

use secure_callbacks::policy::Mode;
use secure_callbacks::replay::ReplayStore;
use secure_callbacks::{Answer, Code, Reservation, Settled, Verifier};

use crate::host::conf::Place;
use crate::host::zone::counters::Counters;
use crate::replay::Tables;

/// A policy as the configuration's `secure_callbacks_policy` block made it.
#[derive(Debug)]
pub(crate) struct ActivePolicy {
    verifier: Verifier,
    counters: Counters,
    /// `None`: the policy does not ask for replays.
    tables: Option<Tables>,
    place: Place,
    used: Cell<bool>,
}

impl ActivePolicy {
    pub(crate) fn new(verifier: Verifier, counters: Counters, tables: Option<Tables>, place: Place) -> Self {
        Self { verifier, counters, tables, place, used: Cell::new(false) }
    }

    pub(crate) fn name(&self) -> &str {
        self.verifier.policy().name()
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn enforces(&self) -> bool {
        self.verifier.policy().mode() == Mode::Enforce
    }

    /// Where the block stands.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn mark_used(&self) {
        self.used.set(true);
    }

    /// Whether any location is checked by it.
    pub(crate) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// A number for a reservation's owner, which no other worker has now.
    pub(crate) fn next_owner(&self) -> u32 {
        self.counters.next_owner()
    }

    /// Reserves a callback.
    pub(crate) fn reserve(&self, reservation: &Reservation, now: i64) -> Answer {
        self.tables.as_ref().map_or(Answer::Unavailable, |mut tables| tables.reserve(reservation, now))
    }

    /// Keeps a reservation, or releases it.
    pub(crate) fn settle(&self, settled: &Settled, now: i64) {
        if let Some(mut tables) = self.tables.as_ref() {
            tables.settle(settled, now);
        }
    }

    /// How many callbacks are remembered; `None` without a replay table.
    pub(crate) fn remembered(&self, now: i64) -> Option<u32> {
        self.tables.as_ref()?.live(now)
    }

    /// Counts a verdict.
    pub(crate) fn count(&self, code: Code) {
        self.counters.count(code);
    }

    /// Each result with how often it was the verdict.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Code::all().map(|code| (code.as_str(), self.counters.counted(code)))
    }
}
