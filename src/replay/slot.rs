//! Room for one callback, as a table has it in memory and as a host hands it out.

use super::reservation::{Key, Reservation};
use crate::time::UnixSeconds;

/// A slot's size in bytes.
pub const SLOT_BYTES: usize = 24;

/// Room for one callback. Any bytes are a valid slot; all zero is a free one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub(super) key: [u8; 16],
    /// Unix seconds, until 2106; past: the slot is free.
    until: u32,
    /// Who may release it; 0 once it is kept ([`Window::keep`](super::Window::keep)).
    pub(super) owner: u32,
}

impl Slot {
    /// A slot nobody has.
    pub const FREE: Self = Self { key: [0; 16], until: 0, owner: 0 };

    /// A reservation's until the upstream answers.
    pub(super) fn pending(reservation: &Reservation) -> Self {
        let until = stamp(reservation.pending_until());
        Self { key: reservation.key().0, until, owner: reservation.owner() }
    }

    /// A reservation's once the upstream took the callback.
    pub(super) fn kept(reservation: &Reservation) -> Self {
        Self { key: reservation.key().0, until: stamp(reservation.kept_until()), owner: 0 }
    }

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

    /// Whether its callback was taken, and [`Window::keep`](super::Window::keep) has said so.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.owner == 0
    }

    pub(super) fn is_live(&self, now: u32) -> bool {
        self.until >= now && self.until != 0
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

/// Unix seconds as a slot has them.
pub(super) fn stamp(seconds: UnixSeconds) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
