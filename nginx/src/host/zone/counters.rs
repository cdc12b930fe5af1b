//! A policy's counters, which outlive every reload.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Content, Owner, Zone};
use crate::host::conf::Complained;

/// Room for the counters of every result there is, and some more.
const COUNTERS: usize = 32;

/// What lies in the zone. All zero is a valid value.
#[repr(C)]
pub(super) struct Counts {
    counters: [AtomicU64; COUNTERS],
    owners: AtomicU32,
}

/// The counters of a policy.
#[derive(Debug)]
pub(crate) struct Counters(Zone);

impl Counters {
    /// Asks nginx for them.
    pub(crate) fn request(owner: Owner<'_>) -> Result<Self, Complained> {
        Zone::request(owner, Content::Counters).map(Self)
    }

    fn counts(&self) -> Option<&Counts> {
        let memory = self.0.memory()?;
        // SAFETY: the zone was made for this, and stays mapped as long as the configuration. All in it is atomic.
        Some(unsafe { memory.root.cast::<Counts>().as_ref() })
    }

    /// Adds one to a counter.
    pub(crate) fn count(&self, counter: usize) {
        if let Some(count) = self.counts().and_then(|counts| counts.counters.get(counter)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A counter's value.
    pub(crate) fn counted(&self, counter: usize) -> u64 {
        let count = self.counts().and_then(|counts| counts.counters.get(counter));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// A number for a reservation's owner, which no other worker has now, of this configuration or another.
    pub(crate) fn next_owner(&self) -> u32 {
        // `Reservation` takes 0 for 1: one number in four billion is given twice.
        self.counts().map_or(0, |counts| counts.owners.fetch_add(1, Ordering::Relaxed))
    }
}
