//! What a policy remembers: its own replay table, and the earlier ones that a reload with another `replay_capacity` left.
//!
//! Workers of both configurations share the earlier table, so of any number of copies of one callback only one passes,
//! whichever worker each meets.
#![forbid(unsafe_code)]

use std::vec::Vec;

use secure_callbacks::replay::generations;
use secure_callbacks::{Answer, Policy, ReplayStore, Reservation};

use crate::host::conf::Complained;
use crate::host::zone::table::SharedTable;
use crate::host::zone::{Owner, Shape};

/// The tables of one policy.
#[derive(Debug)]
pub(crate) struct Tables {
    /// In the same order in every configuration: of two workers that reserve one callback at once, one gets it.
    members: Vec<SharedTable>,
}

impl Tables {
    /// Asks nginx for them; `None` if the policy is not to ask for replays. What an earlier configuration remembers is
    /// held on to then, too: the next may ask again.
    pub(crate) fn request(owner: Owner<'_>, policy: &Policy) -> Result<Option<Self>, Complained> {
        let memory = policy.replay_memory();
        let own = policy.replay().then(|| Shape { capacity: policy.replay_capacity(), memory, until: None });
        let other = |shape: &Shape| own.is_none_or(|own| own.slots() != shape.slots());
        let shapes = own.into_iter().chain(Shape::earlier(owner, memory).filter(other));
        let members: Result<Vec<_>, _> = shapes.map(|shape| SharedTable::request(owner, shape)).collect();
        let mut members = members?;
        members.sort_by_key(|member| member.shape.slots());
        Ok(own.map(|_| Self { members }))
    }

    /// How many callbacks its own table remembers.
    pub(crate) fn live(&self, now: i64) -> Option<u32> {
        self.members.iter().find(|member| member.shape.until.is_none())?.with(|table| table.live(now))
    }
}

impl ReplayStore for &Tables {
    fn reserve(&mut self, reservation: &Reservation, now: i64) -> Answer {
        // Shared memory that is there does not fail: what was reserved is given back.
        generations::reserve(self.members.iter(), reservation, now).answer
    }

    fn keep(&mut self, reservation: &Reservation, now: i64) {
        generations::keep(self.members.iter(), reservation, now);
    }

    fn release(&mut self, reservation: &Reservation, now: i64) {
        generations::release(self.members.iter(), reservation, now);
    }
}

impl generations::Generation for &SharedTable {
    fn until(&self) -> Option<i64> {
        self.shape.until
    }

    fn reserve(&self, reservation: &Reservation, now: i64) -> Answer {
        self.with(|table| table.reserve(reservation, now)).unwrap_or(Answer::Unavailable)
    }

    fn keep(&self, reservation: &Reservation, now: i64) {
        self.with(|table| table.keep(reservation, now));
    }

    fn release(&self, reservation: &Reservation, now: i64) -> bool {
        self.with(|table| table.release(reservation, now)).is_some()
    }
}
