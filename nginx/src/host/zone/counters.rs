//! A policy's counters, which outlive every reload.

use core::alloc::Layout;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use secure_callbacks::Code;
use secure_callbacks::replay::shared::Tally;

use super::memory::{Kind, Owner, Plan, Zone};
use crate::host::conf::Complained;

/// What lies in the zone. All zero is a valid value.
#[repr(C)]
struct Counts {
    counters: [AtomicU64; Code::COUNT],
    owners: AtomicU32,
    shared_store: Tally,
}

/// The counters of a policy.
#[derive(Debug)]
pub(crate) struct Counters(Zone);

impl Counters {
    /// Asks nginx for them.
    pub(crate) fn request(owner: Owner<'_>) -> Result<Self, Complained> {
        let (policy, memory) = (owner.policy.into(), Layout::new::<Counts>());
        Zone::request(owner, Plan { policy, kind: Kind::Counters, memory, begin: |_, _, _| Some(()) }).map(Self)
    }

    fn counts(&self) -> Option<&Counts> {
        let memory = self.0.memory()?;
        // SAFETY: the zone was made for this, and stays mapped as long as the configuration. All in it is atomic.
        Some(unsafe { memory.root.cast::<Counts>().as_ref() })
    }

    /// What the shared store was asked, for a thread of a worker's too.
    pub(crate) fn shared_store(&self) -> Option<&'static Tally> {
        // SAFETY: in a worker the zone stays mapped until the process ends.
        Some(unsafe { &self.0.memory()?.root.cast::<Counts>().as_ref().shared_store })
    }

    /// Adds one to a verdict's counter.
    pub(crate) fn count(&self, code: Code) {
        if let Some(count) = self.counts().and_then(|counts| counts.counters.get(code.index())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A counter's value.
    pub(crate) fn counted(&self, code: Code) -> u64 {
        let count = self.counts().and_then(|counts| counts.counters.get(code.index()));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// A number for a reservation's owner, which no other worker has now, of this configuration or another.
    pub(crate) fn next_owner(&self) -> u32 {
        // `Reservation` takes 0 for 1: one number in four billion is given twice.
        self.counts().map_or(0, |counts| counts.owners.fetch_add(1, Ordering::Relaxed))
    }
}
