//! What a store of callbacks does, whatever it is made of.

use super::reservation::Reservation;
use crate::time::UnixSeconds;

/// What a store says to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is made: nobody has reserved this callback.
    Fresh,
    /// This callback was taken before, or it is on its way and the store can't tell the two apart.
    Seen,
    /// This callback is on its way, and its answer is not known yet.
    InFlight,
    /// There is no room.
    Full,
    /// The store can't tell.
    Unavailable,
}

/// What becomes of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// The application took the callback: it is remembered until its token can't be accepted any more.
    Keep(Reservation),
    /// It did not: the same token may come again.
    Release(Reservation),
    /// The shared store has it of another proxy, which has settled it: this proxy's own table remembers that.
    KeepHere(Reservation),
    /// The shared store did not take it: it is given back in this proxy's own table.
    ReleaseHere(Reservation),
}

impl Settled {
    /// Whether the shared store is told too, where the policy has one.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        matches!(self, Self::Keep(_) | Self::Release(_))
    }
}

/// Remembers callbacks across all of a proxy's workers.
///
/// - A false [`Answer::Seen`] refuses a callback that nobody took: the event is lost if the sender gives up. The store
///   must therefore compare whole keys and let go of what was released or has expired.
/// - A false [`Answer::Fresh`] delivers a callback twice: what an attacker who captured it wants. The store must
///   therefore be one for all workers, reserve in one atomic step, and say [`Answer::Full`] rather than forget.
pub trait ReplayStore {
    /// Reserves in one atomic step: of any number at once for one key, one gets [`Answer::Fresh`].
    fn reserve(&mut self, reservation: &Reservation, now: UnixSeconds) -> Answer;

    /// [`Settled::Keep`].
    fn keep(&mut self, reservation: &Reservation, now: UnixSeconds);

    /// [`Settled::Release`].
    fn release(&mut self, reservation: &Reservation, now: UnixSeconds);

    /// Does what the life of the callback came to.
    fn settle(&mut self, settled: &Settled, now: UnixSeconds) {
        match settled {
            Settled::Keep(reservation) | Settled::KeepHere(reservation) => self.keep(reservation, now),
            Settled::Release(reservation) | Settled::ReleaseHere(reservation) => self.release(reservation, now),
        }
    }
}

/// A store that remembers nothing, and therefore takes nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoStore;

impl ReplayStore for NoStore {
    fn reserve(&mut self, _: &Reservation, _: UnixSeconds) -> Answer {
        Answer::Unavailable
    }

    fn keep(&mut self, _: &Reservation, _: UnixSeconds) {}

    fn release(&mut self, _: &Reservation, _: UnixSeconds) {}
}
