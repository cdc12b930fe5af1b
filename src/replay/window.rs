//! The slot table: fixed slots in windows. A callback's key names its window, and only that window is searched, so every
//! step has a bound, expired entries are found where room is needed, and a host that can't hold the whole table at once
//! (Envoy's shared data) handles one window at a time.

use super::reservation::Reservation;
use super::slot::{Place, Slot, stamp};
use super::store::Answer;
use crate::time::UnixSeconds;

/// The slots that one key may be in.
#[derive(Debug)]
pub struct Window<'s, P = Slot>(&'s mut [P]);

impl<'s, P: Place> Window<'s, P> {
    /// A window over its slots.
    #[must_use]
    pub fn new(slots: &'s mut [P]) -> Self {
        Self(slots)
    }

    /// Finds the key, or takes a free or expired slot for it.
    pub fn reserve(&mut self, reservation: &Reservation, now: UnixSeconds) -> Answer {
        self.reserve_if(true, reservation, now)
    }

    /// Like [`Window::reserve`]; without `room` in the whole table no slot is taken.
    pub(super) fn reserve_if(&mut self, room: bool, reservation: &Reservation, now: UnixSeconds) -> Answer {
        let now = stamp(now);
        let mut free = None;
        for place in self.0.iter_mut() {
            let slot = place.slot();
            if !slot.is_live(now) {
                free = free.or(Some(place));
            } else if slot.key == *reservation.key().bytes() {
                return if slot.is_kept() { Answer::Seen } else { Answer::InFlight };
            }
        }
        match free.filter(|_| room) {
            None => Answer::Full,
            Some(place) => {
                place.set(Slot::pending(reservation));
                Answer::Fresh
            }
        }
    }

    /// Remembers a callback that the upstream took, also if its reservation has lapsed meanwhile. Tells which slot it
    /// replaced; `None`: there is no room left for one that had lapsed.
    pub fn keep(&mut self, reservation: &Reservation, now: UnixSeconds) -> Option<Slot> {
        let now = stamp(now);
        let is_this = |slot: Slot| slot.is_live(now) && slot.key == *reservation.key().bytes();
        let this = self.0.iter().position(|place| is_this(place.slot()));
        let place = this.or_else(|| self.free(now));
        Some(replace(self.0.get_mut(place?)?, Slot::kept(reservation)))
    }

    /// Gives back a place that is still this reservation's. Tells which slot it freed.
    pub fn release(&mut self, reservation: &Reservation, now: UnixSeconds) -> Option<Slot> {
        let now = stamp(now);
        let is_mine = |slot: Slot| {
            slot.is_live(now) && slot.key == *reservation.key().bytes() && slot.owner == reservation.owner()
        };
        let place = self.0.iter_mut().find(|place| is_mine(place.slot()))?;
        Some(replace(place, Slot::FREE))
    }

    /// Takes over a live slot of another table; `false`: there is no room.
    pub fn adopt(&mut self, other: Slot, now: UnixSeconds) -> bool {
        let now = stamp(now);
        let is_same = |slot: Slot| slot.is_live(now) && slot.key == other.key;
        let same = self.0.iter().position(|place| is_same(place.slot()));
        let place = same.or_else(|| self.free(now));
        match place.and_then(|place| self.0.get_mut(place)) {
            // What is remembered longer stays: a kept entry outlives a pending one of the same callback.
            Some(place) if place.slot().is_live(now) && place.slot().until() >= other.until() => true,
            Some(place) => {
                place.set(other);
                true
            }
            None => false,
        }
    }

    fn free(&self, now: u32) -> Option<usize> {
        self.0.iter().position(|place| !place.slot().is_live(now))
    }

    /// How many callbacks are remembered here.
    #[must_use]
    pub fn live(&self, now: UnixSeconds) -> usize {
        let now = stamp(now);
        self.0.iter().filter(|place| place.slot().is_live(now)).count()
    }
}

fn replace(place: &mut impl Place, slot: Slot) -> Slot {
    let before = place.slot();
    place.set(slot);
    before
}
