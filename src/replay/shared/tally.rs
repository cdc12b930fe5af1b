//! What a shared store was asked and what came of it, as metrics show it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use super::protocol::Operation;

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The store has done it, whatever its answer.
    Answered,
    /// No answer in time.
    TimedOut,
    /// There is no connection, or it broke.
    Unreachable,
    /// The store answered with an error.
    Error,
    /// The store answered what no store answers.
    NotUnderstood,
    /// Not asked: it has failed too often lately.
    NotAsked,
    /// Not asked: too many wait already.
    QueueFull,
}

impl Outcome {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::TimedOut,
        Self::Unreachable,
        Self::Error,
        Self::NotUnderstood,
        Self::NotAsked,
        Self::QueueFull,
    ];

    /// As metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Error => "error",
            Self::NotUnderstood => "not_understood",
            Self::NotAsked => "not_asked",
            Self::QueueFull => "queue_full",
        }
    }
}

/// The upper bounds of a histogram's buckets, in milliseconds; one more is without a bound.
pub const BUCKETS: [u64; 9] = [1, 2, 5, 10, 25, 50, 100, 250, 1000];

/// The counts of one policy. All zero is an empty one, so that it can lie in shared memory.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Tally {
    calls: [[AtomicU64; Outcome::ALL.len()]; Operation::ALL.len()],
    /// Not cumulative.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
    open: AtomicU32,
}

impl Tally {
    /// Counts a question.
    pub fn count(&self, operation: Operation, outcome: Outcome) {
        if let Some(calls) = self.cell(operation, outcome) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes how long an answer took.
    pub fn took(&self, time: Duration) {
        let bucket = BUCKETS.partition_point(|most| u128::from(*most) < time.as_micros().div_ceil(1000));
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(micros, Ordering::Relaxed);
    }

    /// Notes whether the circuit is open.
    pub fn set_open(&self, open: bool) {
        self.open.store(open.into(), Ordering::Relaxed);
    }

    /// Whether the circuit was open lately.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) != 0
    }

    /// Each kind of question and outcome, with how often it was.
    pub fn calls(&self) -> impl Iterator<Item = (Operation, Outcome, u64)> {
        let cells = self.cells();
        cells.map(|(operation, outcome, calls)| (operation, outcome, calls.load(Ordering::Relaxed)))
    }

    /// The same, and begins anew.
    pub fn take_calls(&self) -> impl Iterator<Item = (Operation, Outcome, u64)> {
        let cells = self.cells();
        cells.map(|(operation, outcome, calls)| (operation, outcome, calls.swap(0, Ordering::Relaxed)))
    }

    /// How many answers took at most so many milliseconds, for each of [`BUCKETS`] and then in all; and the sum of their
    /// times.
    #[must_use]
    pub fn times(&self) -> ([u64; BUCKETS.len() + 1], Duration) {
        let mut sum = 0_u64;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            sum = sum.saturating_add(bucket.load(Ordering::Relaxed));
            sum
        });
        (cumulative, Duration::from_micros(self.microseconds.load(Ordering::Relaxed)))
    }

    fn cell(&self, operation: Operation, outcome: Outcome) -> Option<&AtomicU64> {
        self.calls.get(operation as usize)?.get(outcome as usize)
    }

    fn cells(&self) -> impl Iterator<Item = (Operation, Outcome, &AtomicU64)> {
        let all = Operation::ALL.into_iter().flat_map(|one| Outcome::ALL.map(|outcome| (one, outcome)));
        all.filter_map(|(operation, outcome)| Some((operation, outcome, self.cell(operation, outcome)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn what_is_counted_is_found_again() {
        let tally = Tally::default();
        for (nth, (operation, outcome, before)) in tally.calls().collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(before, 0);
            (0..=nth).for_each(|_| tally.count(operation, outcome));
        }
        let counts: Vec<_> = tally.take_calls().map(|(_, _, count)| count).collect();
        assert_eq!(counts, (1..=21).collect::<Vec<_>>());
        assert!(tally.calls().all(|(_, _, count)| count == 0));
    }

    #[test]
    fn times_are_at_most_their_bound() {
        let tally = Tally::default();
        for micros in [10, 1000, 1001, 2000, 250_000, 250_001, 1_000_000, 1_000_001, 9_000_000] {
            tally.took(Duration::from_micros(micros));
        }
        let (buckets, sum) = tally.times();
        assert_eq!(buckets, [2, 4, 4, 4, 4, 4, 4, 5, 7, 9]);
        assert_eq!(
            sum,
            Duration::from_micros(10 + 1000 + 1001 + 2000 + 250_000 + 250_001 + 1_000_000 + 1_000_001 + 9_000_000)
        );
    }
}
