//! Counts what a table remembers, a part at a time and between the requests: only for the gauge, so no request pays for
//! it.

use std::cell::Cell;

use secure_callbacks::UnixSeconds;

use super::table::Table;
use crate::shared_data::SharedData;

/// In how many parts a large table is counted, one a second: the gauge is for watching it fill, over minutes.
pub const PARTS: usize = 16;

/// The least that is counted at once; a part of this size takes a worker about a millisecond.
const LEAST: usize = 128;

/// How far the count has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    windows: Cell<usize>,
    live: Cell<usize>,
}

impl Sweep {
    /// Counts the next part; the sum, if it was the last. `None` also if shared data does not work: then the count
    /// starts anew.
    pub(super) fn count_on(&self, table: &Table, data: &impl SharedData, now: UnixSeconds) -> Option<usize> {
        let (first, live) = (self.windows.take(), self.live.take());
        let end = first.saturating_add(table.windows().div_ceil(PARTS).max(LEAST)).min(table.windows());
        let live =
            (first..end).try_fold(live, |live, window| Some(live.saturating_add(table.live(data, window, now)?)))?;
        if end == table.windows() {
            return Some(live);
        }
        self.windows.set(end);
        self.live.set(live);
        None
    }
}
