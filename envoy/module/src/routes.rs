//! The policies of routes, by the numbers that Envoy has of them. There are as many as Envoy has configurations of routes: one
//! that is gone leaves nothing behind, however often routes are updated.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// All of them.
#[derive(Debug)]
pub struct Routes<P>(RwLock<State<P>>);

#[derive(Debug)]
struct State<P> {
    policies: BTreeMap<usize, Arc<P>>,
    /// How often one was added.
    added: u64,
}

impl<P> Routes<P> {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(RwLock::new(State { policies: BTreeMap::new(), added: 0 }))
    }

    fn read(&self) -> RwLockReadGuard<'_, State<P>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<P>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one; its number is never zero.
    pub fn add(&self, policy: P) -> usize {
        let policy = Arc::new(policy);
        // Nobody else has its address while it is there.
        let number = Arc::as_ptr(&policy).addr();
        let mut state = self.write();
        state.policies.insert(number, policy);
        state.added = state.added.wrapping_add(1);
        number
    }

    /// The policy of that number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<Arc<P>> {
        self.read().policies.get(&number).map(Arc::clone)
    }

    /// The route is gone.
    pub fn remove(&self, number: usize) {
        let policy = self.write().policies.remove(&number);
        // What goes with it is not for the lock to wait for.
        drop(policy);
    }

    /// Shows all that are there, if one was added since `seen`, and says up to where that is.
    pub fn since(&self, seen: u64, show: impl FnMut(&P)) -> u64 {
        let state = self.read();
        if state.added != seen {
            state.policies.values().map(Arc::as_ref).for_each(show);
        }
        state.added
    }
}

impl<P> Default for Routes<P> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_leave_nothing_behind() {
        let routes = Routes::new();
        for update in 0..1000 {
            let [one, other] = [format!("a{update}"), format!("b{update}")].map(|name| routes.add(name));
            assert_eq!(routes.get(one).as_deref(), Some(&format!("a{update}")));
            routes.remove(one);
            assert_eq!(routes.get(one), None);
            routes.remove(other);
        }
        assert!(routes.read().policies.is_empty());
    }

    #[test]
    fn each_that_comes_is_shown_once() {
        let routes = Routes::new();
        let shown = |seen: &mut u64| {
            let mut names = Vec::new();
            *seen = routes.since(*seen, |name: &&str| names.push(*name));
            names.sort_unstable();
            names
        };
        let mut seen = 0;
        assert!(shown(&mut seen).is_empty());
        let first = routes.add("first");
        assert_eq!(shown(&mut seen), ["first"]);
        assert!(shown(&mut seen).is_empty());
        // As many as before, and another.
        routes.remove(first);
        routes.add("second");
        assert_eq!(shown(&mut seen), ["second"]);
        assert!(shown(&mut seen).is_empty());
    }
}
