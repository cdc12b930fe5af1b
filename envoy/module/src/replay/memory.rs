//! What one policy remembers: one table under one lock. To reserve and to settle takes 0.2 µs in it, of the 25 or more that
//! a request adds, so that dozens of workers hardly meet there (`a_look_into_the_table` measures it).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secure_callbacks::replay::{Census, Layout, Slot, Table, Window};
use secure_callbacks::{Answer, ReplayStore, Reservation, Settled, UnixSeconds};

/// What a configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// How many callbacks are remembered.
    pub(super) capacity: u32,
    /// For how long, in seconds.
    pub(super) memory: i64,
}

/// What one policy remembers, for all configurations that have a policy of its name.
#[derive(Debug)]
pub(super) struct Memory(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What the present configurations ask for.
    asked: Vec<Asked>,
    /// What the table is made for.
    made: Asked,
    slots: Vec<Slot>,
    census: Census,
    /// When another try may be made of a table that was too crowded in one place.
    next_try: UnixSeconds,
}

/// How long a table that could not be moved stays as it is, in seconds: each try looks at all of it with the lock held.
const PAUSE: UnixSeconds = 60;

impl Memory {
    /// An empty one; `None`: there is not memory enough.
    pub(super) fn new(asked: Asked, now: UnixSeconds) -> Option<Self> {
        let slots = free_slots(asked.capacity)?;
        let census = Census::new(asked.memory, now);
        Some(Self(Mutex::new(State { asked: Vec::new(), made: asked, slots, census, next_try: now })))
    }

    /// Whatever panicked with the lock held left at most one slot half written, and any bytes are a valid one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many callbacks are remembered.
    pub(super) fn live(&self, now: UnixSeconds) -> u32 {
        let mut state = self.lock();
        // What did not fit when it was asked for may fit by now.
        state.fit(now);
        state.table().live(now)
    }
}

impl State {
    fn table(&mut self) -> Table<'_> {
        Table::new(self.made.capacity, &mut self.slots, &mut self.census)
    }

    /// Makes the table what the most demanding configuration asks for: while one gives way to another both are served,
    /// and one that does not come into force leaves no trace. What is remembered, and who may release it, moves along;
    /// where it would not fit the table stays as it is. `false`: there is not memory enough.
    fn fit(&mut self, now: UnixSeconds) -> bool {
        let most = |one: Asked, other: &Asked| Asked {
            capacity: one.capacity.max(other.capacity),
            memory: one.memory.max(other.memory),
        };
        let Some(wanted) = self.asked.iter().copied().reduce(|one, other| most(one, &other)) else { return true };
        if wanted.memory != self.made.memory {
            self.made.memory = wanted.memory;
            self.table().recount(wanted.memory, now);
        }
        let is_due = wanted.capacity != self.made.capacity && now >= self.next_try;
        if !is_due || self.table().live(now) > wanted.capacity {
            return true;
        }
        let Some(mut slots) = free_slots(wanted.capacity) else { return false };
        let layout = Layout::for_capacity(wanted.capacity);
        let moved = self.slots.iter().filter(|slot| slot.is_live_at(now)).all(|slot| {
            let window = slots.get_mut(layout.window(slot.key())).unwrap_or_default();
            Window::new(window).adopt(*slot, now)
        });
        if moved {
            (self.slots, self.made) = (slots, wanted);
            self.table().recount(wanted.memory, now);
        } else {
            self.next_try = now.saturating_add(PAUSE);
        }
        true
    }
}

fn free_slots(capacity: u32) -> Option<Vec<Slot>> {
    let count = Layout::for_capacity(capacity).slots();
    let mut slots = Vec::new();
    slots.try_reserve_exact(count).ok()?;
    slots.resize(count, Slot::FREE);
    Some(slots)
}

/// A configuration's hold on what its policy remembers.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    asked: Asked,
}

impl Share {
    /// `None`: there is not memory enough.
    pub(super) fn new(memory: Arc<Memory>, asked: Asked, now: UnixSeconds) -> Option<Self> {
        let mut state = memory.lock();
        state.asked.push(asked);
        // What this one asks for has not been tried yet.
        state.next_try = now;
        let fits = state.fit(now);
        drop(state);
        // Where it does not fit, the drop of this takes it back.
        let share = Self { memory, asked };
        fits.then_some(share)
    }

    /// How many callbacks are remembered.
    #[must_use]
    pub fn live(&self, now: UnixSeconds) -> u32 {
        self.memory.live(now)
    }

    /// Reserves a callback.
    #[must_use]
    pub fn reserve(&self, reservation: &Reservation, now: UnixSeconds) -> Answer {
        self.memory.lock().table().reserve(reservation, now)
    }

    /// Keeps a reservation, or releases it, also where the table has changed since. What is kept is kept for as long as the
    /// most patient of the policies of this name would take it again.
    pub fn settle(&self, settled: &Settled, now: UnixSeconds) {
        let mut state = self.memory.lock();
        let until = now.saturating_add(state.made.memory);
        let settled = match *settled {
            Settled::Keep(reservation) | Settled::KeepHere(reservation) => {
                Settled::Keep(reservation.kept_at_least_until(until))
            }
            release @ (Settled::Release(_) | Settled::ReleaseHere(_)) => release,
        };
        state.table().settle(&settled, now);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        if let Some(place) = state.asked.iter().position(|other| *other == self.asked) {
            state.asked.swap_remove(place);
        }
    }
}
