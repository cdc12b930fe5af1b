//! The whole table in one slice, for a host whose workers share memory, with its capacity exact.

use super::census::Census;
use super::layout::Layout;
use super::reservation::{Key, Reservation};
use super::slot::Slot;
use super::store::{Answer, ReplayStore};
use super::window::Window;
use crate::time::UnixSeconds;

/// A table over slots and a census that the host keeps. The host holds its lock for as long as the table lives.
#[derive(Debug)]
pub struct Table<'m> {
    capacity: u32,
    layout: Layout,
    slots: &'m mut [Slot],
    census: &'m mut Census,
}

impl<'m> Table<'m> {
    /// A table for `capacity` callbacks over [`Layout::slots`] slots.
    #[must_use]
    pub fn new(capacity: u32, slots: &'m mut [Slot], census: &'m mut Census) -> Self {
        Self { capacity, layout: Layout::for_capacity(capacity), slots, census }
    }

    /// How many callbacks are remembered: the gauge `secure_callbacks_replay_entries`.
    pub fn live(&mut self, now: UnixSeconds) -> u32 {
        self.census.live(now)
    }

    /// Counts anew, for a policy whose memory has another length (`max_age` + `leeway`, in seconds).
    pub fn recount(&mut self, memory: i64, now: UnixSeconds) {
        self.census.reset(memory, now);
        for slot in self.slots.iter().filter(|slot| slot.is_live_at(now)) {
            self.census.add(slot.until());
        }
    }

    /// Takes over what another table remembers, such as the one before a change of capacity, and counts anew. Returns
    /// how many callbacks found no room. Reservations stay behind: where they were made they are kept or released.
    pub fn adopt(&mut self, others: &[Slot], memory: i64, now: UnixSeconds) -> usize {
        let mut left_out = 0;
        for other in others.iter().filter(|slot| slot.is_live_at(now) && slot.is_kept()) {
            if !self.window(other.key()).adopt(*other, now) {
                left_out += 1;
            }
        }
        self.recount(memory, now);
        left_out
    }

    fn window(&mut self, key: Key) -> Window<'_> {
        let range = self.layout.window(key);
        // Without its slots (a host's mistake) the window is empty, and an empty window is full.
        Window::new(self.slots.get_mut(range).unwrap_or_default())
    }
}

impl ReplayStore for Table<'_> {
    fn reserve(&mut self, reservation: &Reservation, now: UnixSeconds) -> Answer {
        let room = self.census.live(now) < self.capacity;
        let answer = self.window(reservation.key()).reserve_if(room, reservation, now);
        if answer == Answer::Fresh {
            self.census.add(Slot::pending(reservation).until());
        }
        answer
    }

    fn keep(&mut self, reservation: &Reservation, now: UnixSeconds) {
        if let Some(before) = self.window(reservation.key()).keep(reservation, now) {
            if before.is_live_at(now) {
                self.census.remove(before.until());
            }
            self.census.add(Slot::kept(reservation).until());
        }
    }

    fn release(&mut self, reservation: &Reservation, now: UnixSeconds) {
        if let Some(before) = self.window(reservation.key()).release(reservation, now) {
            self.census.remove(before.until());
        }
    }
}
