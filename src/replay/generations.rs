//! Several tables of one policy: its own, and those that earlier configurations left. Until what an earlier one remembers
//! has expired, each callback is reserved there too, so that neither an update nor the workers' short disagreement during
//! it lets a replay through.

use super::reservation::Reservation;
use super::store::Answer;
use crate::time::UnixSeconds;

/// One table among several.
pub trait Generation {
    /// Whether it is the policy's own, and not an earlier one's.
    fn is_own(&self) -> bool;

    /// Reserves in one atomic step, as [`ReplayStore::reserve`](super::ReplayStore::reserve).
    fn reserve(&self, reservation: &Reservation, now: UnixSeconds) -> Answer;

    /// Gives the place back; `false`: that could not be done.
    fn release(&self, reservation: &Reservation, now: UnixSeconds) -> bool;
}

/// What [`reserve`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The answer of all tables together.
    pub answer: Answer,
    /// Whether what an earlier table had reserved is given back, where a later one refused; `false`: it could not be.
    pub rolled_back: bool,
}

/// Reserves a callback in every table, or in none.
///
/// The tables must come in the same order on every worker: of two that reserve one callback at once, one then gets them all.
pub fn reserve<G: Generation>(
    generations: impl Iterator<Item = G> + Clone,
    reservation: &Reservation,
    now: UnixSeconds,
) -> Reserved {
    for (nth, generation) in generations.clone().enumerate() {
        let answer = match generation.reserve(reservation, now) {
            // It is not there, and no worker that has only this table can accept it.
            Answer::Full if !generation.is_own() => Answer::Fresh,
            answer => answer,
        };
        if answer != Answer::Fresh {
            return Reserved { answer, rolled_back: release(generations.take(nth), reservation, now) };
        }
    }
    Reserved { answer: Answer::Fresh, rolled_back: true }
}

/// Gives a callback's places back in every table; `false`: not in all of them.
pub fn release<G: Generation>(
    mut generations: impl Iterator<Item = G>,
    reservation: &Reservation,
    now: UnixSeconds,
) -> bool {
    // Each is tried, also after one that fails.
    generations.by_ref().fold(true, |done, generation| generation.release(reservation, now) & done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Key;
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use proptest::prelude::*;

    /// A table that answers as it is told, and notes whether it holds the callback.
    struct Told {
        own: bool,
        answer: Answer,
        releases: bool,
        holds: RefCell<bool>,
    }

    impl Generation for &Told {
        fn is_own(&self) -> bool {
            self.own
        }

        fn reserve(&self, _: &Reservation, _: UnixSeconds) -> Answer {
            *self.holds.borrow_mut() |= self.answer == Answer::Fresh;
            self.answer
        }

        fn release(&self, _: &Reservation, _: UnixSeconds) -> bool {
            *self.holds.borrow_mut() &= !self.releases;
            self.releases
        }
    }

    fn answer() -> impl Strategy<Value = Answer> {
        use Answer::{Fresh, Full, InFlight, Seen, Unavailable};
        prop_oneof![6 => Just(Fresh), 1 => Just(Seen), 1 => Just(InFlight), 1 => Just(Full), 1 => Just(Unavailable)]
    }

    proptest! {
        /// All or nothing: what the first table that refuses says is the answer, and those before it hold nothing then.
        #[test]
        fn all_or_nothing(answers in proptest::collection::vec((answer(), any::<bool>()), 0..5), own in 0..5_usize) {
            let told: Vec<_> = answers
                .iter()
                .enumerate()
                .map(|(nth, &(answer, releases))| Told { own: nth == own, answer, releases, holds: RefCell::new(false) })
                .collect();
            let reservation = Reservation::new(Key::new("account", "jti"), 1, 0, 330);
            let reserved = reserve(told.iter(), &reservation, 0);
            let refusing = told.iter().position(|one| match one.answer {
                Answer::Fresh => false,
                // Full, and not the policy's own: nothing that could be accepted twice is in it.
                Answer::Full => one.own,
                _ => true,
            });
            prop_assert_eq!(reserved.answer, refusing.map_or(Answer::Fresh, |nth| told[nth].answer));
            let left = told.iter().filter(|one| *one.holds.borrow()).count();
            match refusing {
                None => prop_assert_eq!(left, told.iter().filter(|one| one.answer == Answer::Fresh).count()),
                Some(_) => prop_assert!(left == 0 || !reserved.rolled_back, "{left} hold it"),
            }
        }
    }
}
