//! The slot table: fixed slots in windows. A callback's key names its window, and only that window is searched, so every
//! step has a bound, expired entries are found where room is needed, and a host that can't hold the whole table at once
//! (Envoy's shared data) handles one window at a time.

use core::ops::Range;

use super::{Answer, Key, Reservation};
use crate::time::UnixSeconds;

/// The slots of a window, unless the whole table is one smaller window.
const WINDOW_SLOTS: usize = 32;

/// Tables up to this capacity are one window with just as many slots, so that their capacity is exact.
const ONE_WINDOW: usize = 128;

/// In larger tables a window has twice the slots of its share: with keys spread evenly one of the default size is full
/// before its time about once in 10,000 windows.
const SLACK: usize = 2;

/// A slot's size in bytes.
pub const SLOT_BYTES: usize = 24;

/// Room for one callback. Any bytes are a valid slot; all zero is a free one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    key: [u8; 16],
    /// Unix seconds, until 2106; past: the slot is free.
    until: u32,
    /// Who may release it; 0 once it is kept ([`Window::keep`]).
    owner: u32,
}

impl Slot {
    /// A slot nobody has.
    pub const FREE: Self = Self { key: [0; 16], until: 0, owner: 0 };

    /// The slot as bytes, for a store that holds bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let parts = self.key.into_iter().chain(self.until.to_le_bytes()).chain(self.owner.to_le_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    /// A slot from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SLOT_BYTES]) -> Self {
        let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15, u0, u1, u2, u3, o0, o1, o2, o3] =
            *bytes;
        Self {
            key: [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15],
            until: u32::from_le_bytes([u0, u1, u2, u3]),
            owner: u32::from_le_bytes([o0, o1, o2, o3]),
        }
    }

    /// Whose place it is, to find the window of another table.
    #[must_use]
    pub fn key(&self) -> Key {
        Key(self.key)
    }

    /// Until when it counts, this second included.
    pub(super) fn until(&self) -> u32 {
        self.until
    }

    /// Whether it holds a callback now.
    #[must_use]
    pub fn is_live_at(&self, now: UnixSeconds) -> bool {
        self.is_live(stamp(now))
    }

    /// Whether its callback was taken, and [`Window::keep`] has said so.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.owner == 0
    }

    fn is_live(&self, now: u32) -> bool {
        self.until >= now && self.until != 0
    }
}

impl Reservation {
    /// The slot until the upstream answers.
    fn pending(&self) -> Slot {
        Slot { key: self.key.0, until: stamp(self.pending_until), owner: self.owner }
    }

    /// The slot once the upstream took the callback.
    fn kept(&self) -> Slot {
        Slot { key: self.key.0, until: stamp(self.kept_until), owner: 0 }
    }
}

/// How a table of some capacity is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    windows: usize,
    window_slots: usize,
}

impl Layout {
    /// The layout for a policy's `replay_capacity`. Up to 128 it is exact. Above, the table has between 2 and 2.5 times
    /// as many slots, and can be full a little before its capacity if keys crowd one window.
    #[must_use]
    pub fn for_capacity(capacity: u32) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX).max(1);
        if capacity <= ONE_WINDOW {
            return Self { windows: 1, window_slots: capacity };
        }
        Self { windows: capacity.div_ceil(WINDOW_SLOTS / SLACK), window_slots: WINDOW_SLOTS }
    }

    /// How many windows there are.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// How many slots a window has.
    #[must_use]
    pub fn window_slots(&self) -> usize {
        self.window_slots
    }

    /// How many slots there are in all.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.windows.saturating_mul(self.window_slots)
    }

    /// Which window a key has.
    #[must_use]
    pub fn window_index(&self, key: Key) -> usize {
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = *key.bytes();
        let spread = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        let windows = u64::try_from(self.windows).unwrap_or(u64::MAX);
        usize::try_from(spread.checked_rem(windows).unwrap_or(0)).unwrap_or(0)
    }

    /// The slots of a key's window, in a table that is one slice.
    #[must_use]
    pub fn window(&self, key: Key) -> Range<usize> {
        let first = self.window_index(key).saturating_mul(self.window_slots);
        first..first.saturating_add(self.window_slots)
    }
}

/// A slot where it lies: as such in a host's memory, or as the bytes that a host hands out. Bytes are looked at in
/// place, because most steps touch one slot of many.
pub trait Place {
    /// What is there.
    fn slot(&self) -> Slot;

    /// Puts another there.
    fn set(&mut self, slot: Slot);
}

impl Place for Slot {
    fn slot(&self) -> Slot {
        *self
    }

    fn set(&mut self, slot: Slot) {
        *self = slot;
    }
}

impl Place for [u8; SLOT_BYTES] {
    #[inline]
    fn slot(&self) -> Slot {
        Slot::from_bytes(self)
    }

    fn set(&mut self, slot: Slot) {
        *self = slot.to_bytes();
    }
}

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
            } else if slot.key == *reservation.key.bytes() {
                return if slot.is_kept() { Answer::Seen } else { Answer::InFlight };
            }
        }
        match free.filter(|_| room) {
            None => Answer::Full,
            Some(place) => {
                place.set(reservation.pending());
                Answer::Fresh
            }
        }
    }

    /// Remembers a callback that the upstream took, also if its reservation has lapsed meanwhile. Tells which slot it
    /// replaced; `None`: there is no room left for one that had lapsed.
    pub fn keep(&mut self, reservation: &Reservation, now: UnixSeconds) -> Option<Slot> {
        let now = stamp(now);
        let is_this = |slot: Slot| slot.is_live(now) && slot.key == *reservation.key.bytes();
        let this = self.0.iter().position(|place| is_this(place.slot()));
        let place = this.or_else(|| self.free(now));
        Some(replace(self.0.get_mut(place?)?, reservation.kept()))
    }

    /// Gives back a place that is still this reservation's. Tells which slot it freed.
    pub fn release(&mut self, reservation: &Reservation, now: UnixSeconds) -> Option<Slot> {
        let now = stamp(now);
        let is_mine =
            |slot: Slot| slot.is_live(now) && slot.key == *reservation.key.bytes() && slot.owner == reservation.owner;
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
            Some(place) if place.slot().is_live(now) && place.slot().until >= other.until => true,
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

/// Unix seconds as a slot has them.
pub(super) fn stamp(seconds: UnixSeconds) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
