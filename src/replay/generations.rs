//! Several tables of one policy: its own, and those that earlier configurations left. Until what an earlier one remembers
//! has expired, each callback is reserved there too, so that neither an update nor the workers' short disagreement during
//! it lets a replay through.

use super::reservation::Reservation;
use super::store::Answer;
use crate::time::UnixSeconds;

/// How much longer than for its memory an earlier table counts, in seconds: for requests that were open at the update, and
/// for tokens that an earlier policy's leeway let be issued ahead of time.
const OVERLAP: UnixSeconds = 3600;

/// The last second in which a table can matter that is an earlier one from `now` on. `memory` is the longest, in seconds,
/// that a policy using it has remembered callbacks.
#[must_use]
pub fn counts_until(memory: UnixSeconds, now: UnixSeconds) -> UnixSeconds {
    now.saturating_add(memory).saturating_add(OVERLAP)
}

/// One table among several.
pub trait Generation {
    /// The last second in which it counts; `None`: it is the policy's own, and not an earlier one's.
    fn until(&self) -> Option<UnixSeconds>;

    /// Reserves in one atomic step, as [`ReplayStore::reserve`](super::ReplayStore::reserve).
    fn reserve(&self, reservation: &Reservation, now: UnixSeconds) -> Answer;

    /// Remembers what the application took.
    fn keep(&self, reservation: &Reservation, now: UnixSeconds);

    /// Gives the place back; `false`: that could not be done.
    fn release(&self, reservation: &Reservation, now: UnixSeconds) -> bool;
}

/// Those that may remember something: long after an update only the policy's own.
fn in_use<G: Generation>(
    generations: impl Iterator<Item = G> + Clone,
    now: UnixSeconds,
) -> impl Iterator<Item = G> + Clone {
    generations.filter(move |generation| generation.until().is_none_or(|until| until >= now))
}

/// What [`reserve`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The answer of all tables together.
    pub answer: Answer,
    /// Whether what an earlier table had reserved is given back, where a later one refused; `false`: it could not be.
    pub rolled_back: bool,
}

/// Reserves a callback in every table that counts, or in none.
///
/// The tables must come in the same order on every worker: of two that reserve one callback at once, one then gets them all.
pub fn reserve<G: Generation>(
    generations: impl Iterator<Item = G> + Clone,
    reservation: &Reservation,
    now: UnixSeconds,
) -> Reserved {
    let generations = in_use(generations, now);
    for (nth, generation) in generations.clone().enumerate() {
        let answer = match generation.reserve(reservation, now) {
            // It is not there, and no worker that has only this table can accept it.
            Answer::Full if generation.until().is_some() => Answer::Fresh,
            answer => answer,
        };
        if answer != Answer::Fresh {
            return Reserved { answer, rolled_back: give_back(generations.take(nth), reservation, now) };
        }
    }
    Reserved { answer: Answer::Fresh, rolled_back: true }
}

/// Remembers in every table that counts what the application took.
pub fn keep<G: Generation>(generations: impl Iterator<Item = G> + Clone, reservation: &Reservation, now: UnixSeconds) {
    in_use(generations, now).for_each(|generation| generation.keep(reservation, now));
}

/// Gives a callback's places back in every table that counts; `false`: not in all of them.
pub fn release<G: Generation>(
    generations: impl Iterator<Item = G> + Clone,
    reservation: &Reservation,
    now: UnixSeconds,
) -> bool {
    give_back(in_use(generations, now), reservation, now)
}

/// Each is tried, also after one that fails.
fn give_back<G: Generation>(generations: impl Iterator<Item = G>, reservation: &Reservation, now: UnixSeconds) -> bool {
    generations.fold(true, |done, generation| generation.release(reservation, now) & done)
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
        until: Option<UnixSeconds>,
        answer: Answer,
        releases: bool,
        holds: RefCell<bool>,
        /// What was asked of it.
        asked: RefCell<Vec<&'static str>>,
    }

    impl Told {
        fn new(until: Option<UnixSeconds>, answer: Answer, releases: bool) -> Self {
            Self { until, answer, releases, holds: RefCell::new(false), asked: RefCell::default() }
        }
    }

    impl Generation for &Told {
        fn until(&self) -> Option<UnixSeconds> {
            self.until
        }

        fn reserve(&self, _: &Reservation, _: UnixSeconds) -> Answer {
            self.asked.borrow_mut().push("reserve");
            *self.holds.borrow_mut() |= self.answer == Answer::Fresh;
            self.answer
        }

        fn keep(&self, _: &Reservation, _: UnixSeconds) {
            self.asked.borrow_mut().push("keep");
        }

        fn release(&self, _: &Reservation, _: UnixSeconds) -> bool {
            self.asked.borrow_mut().push("release");
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
                .map(|(nth, &(answer, releases))| Told::new((nth != own).then_some(0), answer, releases))
                .collect();
            let reservation = Reservation::new(Key::new("account", "jti"), 1, 0, 330);
            let reserved = reserve(told.iter(), &reservation, 0);
            let refusing = told.iter().position(|one| match one.answer {
                Answer::Fresh => false,
                // Full, and not the policy's own: nothing that could be accepted twice is in it.
                Answer::Full => one.until.is_none(),
                _ => true,
            });
            prop_assert_eq!(reserved.answer, refusing.map_or(Answer::Fresh, |nth| told[nth].answer));
            let left = told.iter().filter(|one| *one.holds.borrow()).count();
            match refusing {
                None => prop_assert_eq!(left, told.iter().filter(|one| one.answer == Answer::Fresh).count()),
                Some(nth) => {
                    prop_assert!(left == 0 || !reserved.rolled_back, "{left} hold it");
                    // Whoever refused is not told to give back what another request may hold there.
                    for (index, one) in told.iter().enumerate() {
                        let due: &[&str] = match index.cmp(&nth) {
                            core::cmp::Ordering::Less => &["reserve", "release"],
                            core::cmp::Ordering::Equal => &["reserve"],
                            core::cmp::Ordering::Greater => &[],
                        };
                        prop_assert_eq!(&*one.asked.borrow(), due);
                    }
                }
            }
        }
    }

    #[test]
    fn every_table_that_counts_is_asked_and_no_other() {
        let reservation = Reservation::new(Key::new("account", "jti"), 1, 0, 330);
        for (now, counts) in [(10, true), (11, false)] {
            let told = [Told::new(Some(10), Answer::Fresh, false), Told::new(None, Answer::Fresh, true)];
            assert_eq!(reserve(told.iter(), &reservation, now).answer, Answer::Fresh);
            keep(told.iter(), &reservation, now);
            // The first can't give it back; the second is asked all the same.
            assert_eq!(release(told.iter(), &reservation, now), !counts);
            let all = ["reserve", "keep", "release"];
            assert_eq!(*told[0].asked.borrow(), if counts { &all[..] } else { &[] }, "{now}");
            assert_eq!(*told[1].asked.borrow(), all, "{now}");
        }
        assert_eq!(counts_until(330, 1000), 1000 + 330 + 3600);
    }
}
