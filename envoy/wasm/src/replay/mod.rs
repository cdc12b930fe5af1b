//! The replay store in Envoy's shared data, which all workers see and which outlives a configuration update.
//!
//! One key holds one window of slots. All keys are made with the configuration, before traffic: they can't be removed,
//! and this way the memory stays as it is. A change is a compare-and-swap of one key, tried again when another worker
//! was quicker.
//!
//! A layout with another `replay_capacity` has other keys. Until what the ones before remember has expired, each callback
//! is reserved there too, so that neither an update nor the workers' short disagreement during it lets a replay through.

mod capacities;
mod in_flight;
mod sweep;
mod table;

use secure_callbacks::replay::generations::{self, Reserved};
use secure_callbacks::{Answer, Policy, ReplayStore, Reservation, UnixSeconds};

use crate::shared_data::SharedData;
use in_flight::InFlight;
use sweep::Sweep;
use table::Table;

pub use sweep::PARTS;

/// What one policy remembers: the tables, without the host that holds them. Policies of one name share it.
#[derive(Debug)]
pub struct Tables {
    /// Its own and the earlier ones. Every worker has them in the same order: of two that reserve one callback at once
    /// in several tables, one gets them all.
    members: Vec<Member>,
    in_flight: InFlight,
    sweep: Sweep,
}

#[derive(Debug)]
struct Member {
    table: Table,
    /// When everything in it has expired; `None`: it is the policy's own.
    until: Option<UnixSeconds>,
}

impl Tables {
    /// The tables for a policy, made if they are not there; `None` if shared data does not work.
    #[must_use]
    pub fn open(policy: &Policy, data: &impl SharedData, now: UnixSeconds) -> Option<Self> {
        let own = Table::new(policy.name(), policy.replay_capacity());
        own.make(data)?;
        let mut members = vec![Member { table: own, until: None }];
        for (capacity, until) in capacities::switch(policy, data, now)? {
            let table = Table::new(policy.name(), capacity);
            match members.iter_mut().find(|member| member.table == table) {
                // Near capacities share a layout, and so the very keys: reserved twice, a callback would be its own
                // replay.
                Some(same) => same.until = same.until.map(|other| other.max(until)),
                None => {
                    let place = members.partition_point(|member| member.table.size() < table.size());
                    members.insert(place, Member { table, until: Some(until) });
                }
            }
        }
        Some(Self { members, in_flight: InFlight::default(), sweep: Sweep::default() })
    }

    /// The store in a host's shared data.
    pub fn on<'s, D: SharedData>(&'s self, data: &'s D) -> Store<'s, D> {
        Store { tables: self, data }
    }

    /// Counts a part of what is remembered; every [`PARTS`]th time the sum of all. `None` also if shared data does not
    /// work.
    pub fn count_on(&self, data: &impl SharedData, now: UnixSeconds) -> Option<u64> {
        let own = self.members.iter().find(|member| member.until.is_none())?;
        self.sweep.count_on(&own.table, data, now).and_then(|live| u64::try_from(live).ok())
    }
}

/// The replay store of one policy.
#[derive(Debug)]
pub struct Store<'s, D> {
    tables: &'s Tables,
    data: &'s D,
}

impl<D: SharedData> Store<'_, D> {
    /// Releases what has waited for its answer for too long.
    pub fn lapse(&self, now: UnixSeconds) {
        for reservation in self.tables.in_flight.take_lapsed(now) {
            self.forget(&reservation, now);
        }
    }

    /// Releases all that this worker has forwarded and that awaits its answer: Envoy answers those requests with 503
    /// whatever the upstream says, so they will come again.
    pub fn abandon(&self, now: UnixSeconds) {
        for reservation in self.tables.in_flight.take_all() {
            self.forget(&reservation, now);
        }
    }

    fn generations(&self) -> impl Iterator<Item = Generation<'_, D>> + Clone {
        self.tables.members.iter().map(|member| Generation { member, data: self.data })
    }

    /// Makes room again; where that can't be done now, it is tried again when the reservation lapses.
    fn forget(&self, reservation: &Reservation, now: UnixSeconds) {
        if !generations::release(self.generations(), reservation, now) {
            self.tables.in_flight.add(*reservation);
        }
    }
}

/// A table, with the host that holds it.
struct Generation<'s, D> {
    member: &'s Member,
    data: &'s D,
}

impl<D: SharedData> generations::Generation for Generation<'_, D> {
    fn until(&self) -> Option<UnixSeconds> {
        self.member.until
    }

    fn reserve(&self, reservation: &Reservation, now: UnixSeconds) -> Answer {
        self.member.table.reserve(self.data, reservation, now)
    }

    fn keep(&self, reservation: &Reservation, now: UnixSeconds) {
        self.member.table.keep(self.data, reservation, now);
    }

    fn release(&self, reservation: &Reservation, now: UnixSeconds) -> bool {
        self.member.table.release(self.data, reservation, now).is_some()
    }
}

impl<D: SharedData> ReplayStore for Store<'_, D> {
    fn reserve(&mut self, reservation: &Reservation, now: UnixSeconds) -> Answer {
        let Reserved { answer, rolled_back } = generations::reserve(self.generations(), &reservation.lasting(), now);
        if answer == Answer::Fresh || !rolled_back {
            self.tables.in_flight.add(*reservation);
        }
        answer
    }

    fn keep(&mut self, reservation: &Reservation, now: UnixSeconds) {
        // Its place is kept already, unless it has lapsed meanwhile.
        if self.tables.in_flight.remove(reservation) {
            return;
        }
        generations::keep(self.generations(), reservation, now);
    }

    fn release(&mut self, reservation: &Reservation, now: UnixSeconds) {
        self.tables.in_flight.remove(reservation);
        self.forget(reservation, now);
    }
}
