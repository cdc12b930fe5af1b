//! The replay table against a model: a map from key to expiry, which has no windows, no wheel and no bounds.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::time::UnixSeconds;

const MEMORY: i64 = 330;

struct Store {
    capacity: u32,
    slots: Vec<Slot>,
    census: Census,
}

impl Store {
    fn new(capacity: u32, now: UnixSeconds) -> Self {
        let slots = vec![Slot::FREE; Layout::for_capacity(capacity).slots()];
        Self { capacity, slots, census: Census::new(MEMORY, now) }
    }

    fn table(&mut self) -> Table<'_> {
        Table::new(self.capacity, &mut self.slots, &mut self.census)
    }
}

fn reservation(id: u16, owner: u32, now: UnixSeconds) -> Reservation {
    Reservation::new(Key::new("a1b2c3d", &format!("jti-{id}")), owner, now, now + MEMORY)
}

#[derive(Debug, Clone)]
enum Step {
    Reserve(u16),
    Keep(usize),
    Release(usize),
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..40u16).prop_map(Step::Reserve),
        3 => any::<usize>().prop_map(Step::Keep),
        2 => any::<usize>().prop_map(Step::Release),
        1 => (1..120i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..200)
}

#[derive(Clone, Copy)]
struct Entry {
    until: i64,
    owner: Option<u32>,
}

proptest! {
    /// One window with room for every key: the table says just what the model says.
    #[test]
    fn behaves_as_a_map_with_expiry(steps in steps()) {
        let mut now = 1_800_000_000;
        let mut store = Store::new(64, now);
        let mut model: BTreeMap<u16, Entry> = BTreeMap::new();
        let mut made: Vec<(u16, u32, Reservation)> = Vec::new();
        for (owner, step) in (1..).zip(steps) {
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::Reserve(id) => {
                    let wanted = reservation(id, owner, now);
                    let live = model.get(&id).filter(|entry| entry.until >= now);
                    let due = match live {
                        None => Answer::Fresh,
                        Some(Entry { owner: Some(_), .. }) => Answer::InFlight,
                        Some(Entry { owner: None, .. }) => Answer::Seen,
                    };
                    prop_assert_eq!(store.table().reserve(&wanted, now), due);
                    if due == Answer::Fresh {
                        model.insert(id, Entry { until: now + PENDING_SECONDS, owner: Some(owner) });
                        made.push((id, owner, wanted));
                    }
                }
                Step::Keep(nth) if !made.is_empty() => {
                    let (id, _, kept) = made.swap_remove(nth % made.len());
                    store.table().keep(&kept, now);
                    model.insert(id, Entry { until: kept.kept_until(), owner: None });
                }
                Step::Release(nth) if !made.is_empty() => {
                    let (id, owner, released) = made.swap_remove(nth % made.len());
                    store.table().release(&released, now);
                    if model.get(&id).is_some_and(|entry| entry.until >= now && entry.owner == Some(owner)) {
                        model.remove(&id);
                    }
                }
                Step::Keep(_) | Step::Release(_) => {}
            }
            let live = model.values().filter(|entry| entry.until >= now).count();
            let counted = usize::try_from(store.table().live(now)).unwrap();
            let in_slots = store.slots.iter().filter(|slot| slot.is_live_at(now)).count();
            prop_assert!(counted >= live, "counted {counted}, live {live}");
            // Late keeps can revive an entry whose token is no longer acceptable: the slot frees with it, no sooner.
            prop_assert_eq!(in_slots, live);
        }
        // A whole memory later nothing is left, in the slots or in the count.
        now += MEMORY + MEMORY / 62 + 2;
        prop_assert_eq!(store.table().live(now), 0);
    }

    /// No table ever remembers more than its capacity, and it always has room for as many while they are few.
    #[test]
    fn capacity_is_exact(capacity in 1..200u32) {
        let now = 1_800_000_000;
        let mut store = Store::new(capacity, now);
        let mut fresh = 0;
        for id in 0..u16::try_from(capacity + 50).unwrap() {
            match store.table().reserve(&reservation(id, 1, now), now) {
                Answer::Fresh => fresh += 1,
                answer => prop_assert_eq!(answer, Answer::Full),
            }
        }
        prop_assert_eq!(fresh, capacity);
        prop_assert_eq!(store.table().live(now), capacity);
    }

    #[test]
    fn slots_survive_as_bytes(key in any::<[u8; 16]>(), until: u32, owner: u32) {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..16].copy_from_slice(&key);
        bytes[16..20].copy_from_slice(&until.to_le_bytes());
        bytes[20..].copy_from_slice(&owner.to_le_bytes());
        prop_assert_eq!(Slot::from_bytes(&bytes).to_bytes(), bytes);
    }
}

#[test]
fn the_default_table_holds_its_capacity() {
    let now = 1_800_000_000;
    let mut store = Store::new(65_536, now);
    let keys = (0..65_536u32).map(|id| Key::new("a1b2c3d", &format!("{id:08x}")));
    let full =
        keys.filter(|key| store.table().reserve(&Reservation::new(*key, 1, now, now + MEMORY), now) == Answer::Full);
    // The documented bound: one window of 4,096 or so may be full before its time.
    assert!(full.count() <= 16);
}

#[test]
fn a_lapsed_reservation_does_not_release_its_successor() {
    let now = 1_800_000_000;
    let mut store = Store::new(16, now);
    let first = reservation(1, 7, now);
    assert_eq!(store.table().reserve(&first, now), Answer::Fresh);
    assert_eq!(store.table().reserve(&first, now + PENDING_SECONDS), Answer::InFlight);
    let later = now + PENDING_SECONDS + 1;
    let second = reservation(1, 8, later);
    assert_eq!(store.table().reserve(&second, later), Answer::Fresh);
    store.table().release(&first, later);
    assert_eq!(store.table().reserve(&reservation(1, 9, later), later), Answer::InFlight);
    store.table().release(&second, later);
    assert_eq!(store.table().reserve(&reservation(1, 9, later), later), Answer::Fresh);
}

#[test]
fn an_answer_below_500_is_kept_even_after_the_lapse() {
    let now = 1_800_000_000;
    let mut store = Store::new(16, now);
    let first = reservation(1, 7, now);
    assert_eq!(store.table().reserve(&first, now), Answer::Fresh);
    let later = now + PENDING_SECONDS + 1;
    let second = reservation(1, 8, later);
    assert_eq!(store.table().reserve(&second, later), Answer::Fresh);
    store.table().keep(&first, later);
    store.table().release(&second, later);
    assert_eq!(store.table().reserve(&reservation(1, 9, later), later), Answer::Seen);
}

#[test]
fn entries_are_carried_over_to_another_capacity() {
    let now = 1_800_000_000;
    let mut small = Store::new(100, now);
    for id in 0..80 {
        let wanted = reservation(id, 1, now);
        assert_eq!(small.table().reserve(&wanted, now), Answer::Fresh);
        small.table().keep(&wanted, now);
    }
    let on_its_way = reservation(100, 1, now);
    assert_eq!(small.table().reserve(&on_its_way, now), Answer::Fresh);
    let mut large = Store::new(5_000, now);
    let twice = reservation(3, 1, now);
    assert_eq!(large.table().reserve(&twice, now), Answer::Fresh);
    assert_eq!(large.table().adopt(&small.slots, MEMORY, now), 0);
    assert_eq!(large.table().live(now), 80);
    assert_eq!(large.table().reserve(&on_its_way, now), Answer::Fresh);
    for id in 0..80 {
        assert_eq!(large.table().reserve(&reservation(id, 1, now), now + PENDING_SECONDS + 1), Answer::Seen);
    }
    let mut tiny = Store::new(10, now);
    assert_eq!(tiny.table().adopt(&small.slots, MEMORY, now), 70);
}

#[test]
fn a_store_without_slots_and_the_null_store_take_nothing() {
    let now = 1_800_000_000;
    let mut census = Census::new(MEMORY, now);
    assert_eq!(Table::new(10, &mut [], &mut census).reserve(&reservation(1, 1, now), now), Answer::Full);
    assert_eq!(NoStore.reserve(&reservation(1, 1, now), now), Answer::Unavailable);
}
