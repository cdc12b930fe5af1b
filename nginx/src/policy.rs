//! A policy in force: its verifier and its shared memory.
#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use std::sync::Arc;

use secure_callbacks::policy::Mode;
use secure_callbacks::replay::ReplayStore;
use secure_callbacks::replay::shared::Tally;
use secure_callbacks::{Answer, Code, Reservation, Settled, Verifier};

use crate::host::conf::Place;
use crate::host::wake::Bell;
use crate::host::zone::counters::Counters;
use crate::replay::Tables;
use crate::shared_store::Link;

/// A policy as the configuration's `secure_callbacks_policy` block made it.
#[derive(Debug)]
pub(crate) struct ActivePolicy {
    verifier: Verifier,
    counters: Counters,
    /// `None`: the policy does not ask for replays.
    tables: Option<Tables>,
    /// In a worker, if the policy shares a store: what it is asked through.
    link: RefCell<Option<Link>>,
    place: Place,
    used: Cell<bool>,
}

impl ActivePolicy {
    pub(crate) fn new(verifier: Verifier, counters: Counters, tables: Option<Tables>, place: Place) -> Self {
        Self { verifier, counters, tables, link: RefCell::new(None), place, used: Cell::new(false) }
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
        if let Some(link) = self.link.borrow().as_ref() {
            link.settle(settled, now);
        }
    }

    /// Begins to ask the store that it shares, in a worker. `false`: it can't, and refuses what it would ask for.
    pub(crate) fn open_link(&self, bell: &Arc<Bell>) -> bool {
        let policy = self.verifier.policy();
        let link = self.counters.shared_store().and_then(|tally| Link::open(policy, tally, bell));
        *self.link.borrow_mut() = link;
        self.link.borrow().is_some() || !self.is_shared()
    }

    /// Sends what is still to be told, for a moment, and asks no more.
    pub(crate) fn close_link(&self) {
        let link = self.link.borrow_mut().take();
        drop(link);
    }

    /// Whether it shares a store with other proxies.
    pub(crate) fn is_shared(&self) -> bool {
        self.verifier.policy().shared_store().is_some()
    }

    /// Uses the link, where there is one.
    pub(crate) fn with_link<T>(&self, work: impl FnOnce(&Link) -> T) -> Option<T> {
        self.link.borrow().as_ref().map(work)
    }

    /// What the shared store was asked, in all workers; `None`: there is none.
    pub(crate) fn asked(&self) -> Option<&'static Tally> {
        self.counters.shared_store().filter(|_| self.is_shared())
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
