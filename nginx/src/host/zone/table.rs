//! A replay table in shared memory, and what becomes of it when a reload changes `replay_capacity`.
//!
//! The workers before go on with their table until their last request is done. The new configuration asks for that
//! table again beside its own, and nginx leaves it where it is: a callback is reserved in both for as long as the earlier
//! one may remember it. Its entries are copied too, so that the new table's room and gauge are right from the start;
//! callbacks that are on their way at that moment are not, as it is the earlier table that learns what became of them.
//!
//! Every step is under the slab pool's own mutex, which nginx's master unlocks for a worker that died holding it. What
//! such a worker leaves half written is one slot; any bytes are a valid one.

use core::slice;

use ngx::core::NgxStr;
use ngx::ffi::{NGX_LOG_EMERG, ngx_shm_zone_t};
use ngx::ngx_log_error;
use secure_callbacks::replay::{Census, Slot, Table, generations};

use super::memory::{Kind, Memory, Owner, Plan, Zone, running};
use super::shape::{Root, Shape};
use crate::host::conf::Complained;
use crate::host::now;

impl Shape {
    /// The earlier tables of a policy, in the shape that a new configuration asks for them. `memory` is the new policy's.
    ///
    /// Those of the running configuration count from now on: it may not come into force, and then the next one counts
    /// anew.
    pub(crate) fn earlier(owner: Owner<'_>, memory: i64) -> impl Iterator<Item = Self> {
        let now = now();
        // SAFETY: `owner` has the configuration that is being read; only the shapes are handed on.
        let shapes = unsafe { running(owner.tag, owner.policy) }.into_iter().map(|(shape, _)| *shape);
        shapes.filter_map(move |shape| {
            let over = || generations::counts_until(shape.memory.max(memory), now);
            let until = shape.until.unwrap_or_else(over);
            (until >= now).then_some(Self { until: Some(until), ..shape })
        })
    }
}

/// A replay table.
#[derive(Debug)]
pub(crate) struct SharedTable {
    zone: Zone,
    pub(crate) shape: Shape,
}

impl SharedTable {
    /// Asks nginx for it.
    pub(crate) fn request(owner: Owner<'_>, shape: Shape) -> Result<Self, Complained> {
        let (policy, place) = (owner.policy, owner.place);
        let too_large = || owner.conf.complain(place, format_args!("no memory for the zones of policy \"{policy}\""));
        let memory = shape.memory().ok_or_else(too_large)?;
        let zone = Zone::request(owner, Plan { policy: policy.into(), kind: Kind::Table(shape), memory, begin })?;
        Ok(Self { zone, shape })
    }

    /// Works on the table, with every other worker kept out. `None`: its memory is not there.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Table<'_>) -> T) -> Option<T> {
        Some(with_table(&self.zone.memory()?, &self.shape, work))
    }
}

fn with_slots<T>(memory: &Memory, shape: &Shape, work: impl FnOnce(&mut [Slot], &mut Census) -> T) -> T {
    let root = memory.root.cast::<Root>();
    // Unlocks also when a panic passes. (`ngx::sync::RwLock` does not do: nobody unlocks it for a dead worker.)
    let _locked = memory.slab.lock();
    // SAFETY: the zone was made for this shape and is mapped; the mutex keeps everyone else out.
    let (slots, census) = unsafe {
        let slots = slice::from_raw_parts_mut(root.as_ptr().add(1).cast::<Slot>(), shape.slots());
        (slots, &mut *root.as_ref().census.get())
    };
    work(slots, census)
}

fn with_table<T>(memory: &Memory, shape: &Shape, work: impl FnOnce(&mut Table<'_>) -> T) -> T {
    with_slots(memory, shape, |slots, census| work(&mut Table::new(shape.capacity, slots, census)))
}

/// The table's memory is there. If the policy's own table was another until now, this one takes over what the policy
/// remembers.
///
/// Without enough room for that the new configuration is refused: the earlier tables would go on refusing replays, but
/// the new one would take nothing until enough has expired.
fn begin(zone: &ngx_shm_zone_t, memory: &Memory, plan: &Plan) -> Option<()> {
    let Kind::Table(shape) = &plan.kind else { return None };
    if shape.until.is_some() {
        return Some(());
    }
    // A reload may have changed for how long is remembered.
    with_table(memory, shape, |table| table.recount(shape.memory, now()));
    // SAFETY: the zones of the new configuration are being made.
    let before = unsafe { running(zone.tag, &plan.policy) };
    if before.iter().any(|(other, _)| other.until.is_none() && other.slots() == shape.slots()) {
        return Some(());
    }
    let mut left_out: usize = 0;
    for (other, other_zone) in before.iter().filter(|(other, _)| other.slots() != shape.slots()) {
        // SAFETY: it is a zone of the running configuration, and mapped.
        let other_memory = unsafe { Memory::of(other_zone) }?;
        left_out = left_out.saturating_add(with_slots(&other_memory, other, |slots, _| {
            with_table(memory, shape, |table| table.adopt(slots, shape.memory, now()))
        }));
    }
    if left_out > 0 {
        // SAFETY: the name is nginx's.
        let name = unsafe { NgxStr::from_ngx_str(zone.shm.name) };
        let problem = "remembered callbacks do not fit into the new replay_capacity";
        ngx_log_error!(NGX_LOG_EMERG, zone.shm.log, "{name}: {left_out} {problem}");
        return None;
    }
    Some(())
}
