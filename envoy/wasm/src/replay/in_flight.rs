//! The callbacks that await the upstream's answer, as the worker that forwarded them knows them.
//!
//! In the table they hold their place from the start for as long as they would be remembered. So nothing is left to do there
//! when the upstream takes one, as it mostly does: each look into shared data costs more than all the checks. What else can
//! become of them is seen to from here.

use std::cell::RefCell;

use secure_callbacks::Reservation;
use secure_callbacks::UnixSeconds;

/// In no order: there are as many as requests are under way on one worker.
#[derive(Debug, Default)]
pub(super) struct InFlight(RefCell<Vec<Reservation>>);

impl InFlight {
    pub(super) fn add(&self, reservation: Reservation) {
        self.0.borrow_mut().push(reservation);
    }

    /// `false`: it is not here any more.
    pub(super) fn remove(&self, reservation: &Reservation) -> bool {
        let mut all = self.0.borrow_mut();
        let place = all.iter().position(|other| other == reservation);
        place.map(|place| all.swap_remove(place)).is_some()
    }

    /// Takes out those that have waited for long enough.
    pub(super) fn take_lapsed(&self, now: UnixSeconds) -> Vec<Reservation> {
        self.0.borrow_mut().extract_if(.., |reservation| reservation.has_lapsed(now)).collect()
    }

    /// Takes out all; none if a fault came in the midst of a change.
    pub(super) fn take_all(&self) -> Vec<Reservation> {
        self.0.try_borrow_mut().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default()
    }
}
