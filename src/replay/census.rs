//! How many entries of a table are live, without looking at the table: entries are counted by when they expire, in the
//! cells of a wheel that turns with the clock.

use super::reservation::PENDING_SECONDS;
use super::slot::stamp;
use crate::time::UnixSeconds;

/// Finer cells would let an expired entry's room be used sooner; with 64, after at most a 62nd of the memory's length.
const CELLS: usize = 64;

/// The count of a table's live entries. Any bytes are a valid value; all zero counts nothing and must be
/// [`Census::reset`].
#[repr(C)]
#[derive(Debug, Clone)]
pub struct Census {
    /// Entries by the cell in which they expire.
    cells: [u32; CELLS],
    /// The sum of the cells.
    live: u32,
    /// The time's own cell, counted from 1970.
    turn: u32,
    /// How many seconds a cell has; 0 before the first reset.
    cell_seconds: u32,
}

impl Census {
    /// A count of nothing, for entries that live at most `memory` seconds.
    #[must_use]
    pub fn new(memory: i64, now: UnixSeconds) -> Self {
        let mut census = Self { cells: [0; CELLS], live: 0, turn: 0, cell_seconds: 0 };
        census.reset(memory, now);
        census
    }

    /// Forgets every entry and sets the wheel for another memory.
    pub fn reset(&mut self, memory: i64, now: UnixSeconds) {
        // One cell is the present one, and one is only partly ahead.
        let usable = CELLS.saturating_sub(2).max(1);
        let longest = usize::try_from(memory.max(PENDING_SECONDS)).unwrap_or(usize::MAX);
        self.cell_seconds = u32::try_from(longest.div_ceil(usable)).unwrap_or(u32::MAX);
        self.cells = [0; CELLS];
        self.live = 0;
        self.turn = self.cell_of(stamp(now));
    }

    /// How many entries are live: never fewer than there are, and more only by those that expired in the present cell.
    pub fn live(&mut self, now: UnixSeconds) -> u32 {
        self.advance(stamp(now));
        self.live
    }

    pub(super) fn add(&mut self, until: u32) {
        if let Some(cell) = self.cell(until) {
            *cell = cell.saturating_add(1);
            self.live = self.live.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, until: u32) {
        if let Some(cell) = self.cell(until)
            && *cell > 0
        {
            *cell = cell.saturating_sub(1);
            self.live = self.live.saturating_sub(1);
        }
    }

    /// Drops the cells that the clock has passed. A clock that is set back turns nothing.
    fn advance(&mut self, now: u32) {
        let turn = self.cell_of(now);
        let passed = turn.saturating_sub(self.turn);
        for step in 0..passed.min(u32::try_from(CELLS).unwrap_or(u32::MAX)) {
            let index = Self::index(self.turn.saturating_add(step));
            if let Some(cell) = self.cells.get_mut(index) {
                self.live = self.live.saturating_sub(*cell);
                *cell = 0;
            }
        }
        self.turn = self.turn.max(turn);
    }

    /// The cell of an expiry; `None` if the clock has passed it. What lies beyond the wheel (the clock was set back)
    /// counts in the last cell.
    fn cell(&mut self, until: u32) -> Option<&mut u32> {
        let last = self.turn.saturating_add(u32::try_from(CELLS).unwrap_or(u32::MAX)).saturating_sub(1);
        let turn = self.cell_of(until).min(last);
        if turn < self.turn { None } else { self.cells.get_mut(Self::index(turn)) }
    }

    fn cell_of(&self, seconds: u32) -> u32 {
        seconds.checked_div(self.cell_seconds).unwrap_or(0)
    }

    fn index(turn: u32) -> usize {
        usize::try_from(turn).unwrap_or(0) % CELLS
    }
}
