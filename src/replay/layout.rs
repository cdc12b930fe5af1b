//! How many slots a table has, and which of them a key may be in.

use core::ops::Range;

use super::reservation::Key;

/// The slots of a window, unless the whole table is one smaller window.
const WINDOW_SLOTS: usize = 32;

/// Tables up to this capacity are one window with just as many slots, so that their capacity is exact.
const ONE_WINDOW: usize = 128;

/// In larger tables a window has twice the slots of its share: with keys spread evenly one of the default size is full
/// before its time about once in 10,000 windows.
const SLACK: usize = 2;

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
