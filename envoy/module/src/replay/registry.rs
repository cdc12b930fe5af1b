//! The policies of a process, by their names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use secure_callbacks::{Policy, UnixSeconds};

use super::memory::{Asked, Memory, Share};

/// What every policy remembers.
#[derive(Debug)]
pub struct Registry(Mutex<BTreeMap<String, Arc<Memory>>>);

/// That of this process. It outlives every configuration, for the module stays loaded (`nodelete`).
#[must_use]
pub fn process() -> &'static Registry {
    static PROCESS: Registry = Registry::new();
    &PROCESS
}

impl Registry {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// What the policies of this name remember; `None`: there is not memory enough.
    pub fn open(&self, policy: &Policy, now: UnixSeconds) -> Option<Share> {
        let asked = Asked { capacity: policy.replay_capacity(), memory: policy.replay_memory() };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = match all.get(policy.name()) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::new(Memory::new(asked, now)?);
                all.insert(policy.name().into(), Arc::clone(&new));
                new
            }
        };
        drop(all);
        Share::new(memory, asked, now)
    }

    /// Shows how many callbacks each policy remembers. What nobody asks for any more goes, once it was shown that all in it
    /// has expired.
    pub fn each(&self, now: UnixSeconds, mut show: impl FnMut(&str, u32)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, memory| {
            let live = memory.live(now);
            show(name, live);
            live > 0 || Arc::strong_count(memory) > 1
        });
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
