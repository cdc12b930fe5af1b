//! The replay store in shared data: workers that race, configurations that change, data that is not there.

use std::collections::BTreeSet;
use std::rc::Rc;

use secure_callbacks::{Answer, PolicyConfig, RequestHead, Reservation, TokenField};
use secure_callbacks_envoy_wasm::replay::PARTS;

use super::fake::{AtWork as _, Known, NOW, Protection, Shared, bearer, protection, protection_at};

/// A reservation of a callback, as a request makes it.
fn reservation(jti: &str, owner: u32, now: i64) -> Reservation {
    let json = r#"{"accounts": [{"api_key": "a1b2c3d", "secrets": ["env:SECRET"]}]}"#;
    let policy = PolicyConfig::from_json(json).and_then(|config| config.resolve(&Known)).unwrap();
    let token = bearer(b"", jti);
    let token = TokenField::Once(token.as_bytes());
    let head = RequestHead { token, content_length: None, line: None, connection: &() };
    let pending = secure_callbacks::Verifier::new(policy).start(&head, now).unwrap();
    pending.end(now).unwrap().reservation(owner, now).unwrap()
}

fn reserve(protection: &Protection, shared: &Shared, jti: &str) -> Answer {
    protection.reserve(&reservation(jti, 1, NOW), shared, NOW)
}

fn settle(protection: &Protection, reservation: &Reservation, taken: bool, shared: &Shared, now: i64) {
    if taken {
        protection.keep(reservation, shared, now);
    } else {
        protection.release(reservation, shared, now);
    }
}

/// How many callbacks are remembered, by as many ticks as that takes.
fn remembered(protection: &Protection, shared: &Shared, now: i64) -> Option<u64> {
    (0..PARTS).find_map(|_| protection.count_on(shared, now))
}

fn capacity(capacity: u32, shared: &Shared) -> Rc<Protection> {
    protection(&format!(r#""replay_capacity": {capacity}"#), shared)
}

#[test]
fn one_of_two_workers_that_reserve_at_once_is_first() {
    for size in [16, 65_536] {
        for known in [false, true] {
            let shared = Shared::default();
            let protection = capacity(size, &shared);
            if known {
                // The window is there already, so the race is for its stamp; otherwise it is for who makes it.
                let first = reservation("one", 5, NOW);
                assert_eq!(protection.reserve(&first, &shared, NOW), Answer::Fresh);
                protection.release(&first, &shared, NOW);
            }
            let (worker, data) = (Rc::clone(&protection), shared.clone());
            shared.rival(move || assert_eq!(worker.reserve(&reservation("one", 2, NOW), &data, NOW), Answer::Fresh));
            assert_eq!(protection.reserve(&reservation("one", 1, NOW), &shared, NOW), Answer::Seen, "{size} {known}");
            assert_eq!(remembered(&protection, &shared, NOW), Some(1));
        }
    }
}

#[test]
fn a_lost_race_for_another_callback_is_run_again() {
    let shared = Shared::default();
    let protection = capacity(16, &shared);
    for rival in 0..10 {
        let (worker, data) = (Rc::clone(&protection), shared.clone());
        shared.rival(move || assert_eq!(reserve(&worker, &data, &format!("rival-{rival}")), Answer::Fresh));
    }
    assert_eq!(reserve(&protection, &shared, "one"), Answer::Fresh);
    assert_eq!(remembered(&protection, &shared, NOW), Some(11));
    for jti in ["one", "rival-0", "rival-9"] {
        assert_eq!(reserve(&protection, &shared, jti), Answer::Seen);
    }
}

#[test]
fn losing_for_ever_is_unavailable() {
    let shared = Shared::default();
    let protection = capacity(16, &shared);
    shared.outrun();
    let before = shared.swaps();
    assert_eq!(reserve(&protection, &shared, "one"), Answer::Unavailable);
    assert_eq!(shared.swaps() - before, 64);
}

#[test]
fn a_small_capacity_is_exact_and_a_large_one_is_there() {
    for size in [1, 2, 128, 129, 1000] {
        let shared = Shared::default();
        let protection = capacity(size, &shared);
        let mut held = Vec::new();
        // Above 128 there is more room than asked for: 2.5 times at most.
        for id in 0..3 * size {
            let jti = format!("jti-{id}");
            match reserve(&protection, &shared, &jti) {
                Answer::Fresh => held.push(jti),
                answer => assert_eq!(answer, Answer::Full, "{size}"),
            }
        }
        let size = usize::try_from(size).unwrap();
        assert!(if size <= 128 { held.len() == size } else { held.len() > size && held.len() < 3 * size }, "{size}");
        assert_eq!(remembered(&protection, &shared, NOW), u64::try_from(held.len()).ok());
        // What is there is still known, and what is released makes room.
        for jti in &held {
            assert_eq!(reserve(&protection, &shared, jti), Answer::Seen);
        }
        let first = &held[0];
        protection.release(&reservation(first, 1, NOW), &shared, NOW);
        assert_eq!(reserve(&protection, &shared, first), Answer::Fresh);
    }
}

#[test]
fn all_keys_are_made_with_the_configuration() {
    let shared = Shared::default();
    let protection = capacity(160, &shared);
    let before = shared.keys();
    let windows = 10;
    assert_eq!(before.len(), windows + 2, "{before:?}");
    assert!(before.iter().all(|key| key.starts_with("secure_callbacks/1/video/")));
    for id in 0..160 {
        reserve(&protection, &shared, &format!("jti-{id}"));
        settle(&protection, &reservation(&format!("jti-{id}"), 1, NOW), id % 2 == 0, &shared, NOW);
    }
    // The next worker has the same configuration: it makes nothing, and wipes nothing.
    let swaps = shared.swaps();
    let next = capacity(160, &shared);
    assert_eq!(shared.swaps(), swaps);
    assert_eq!(shared.keys(), before);
    assert_eq!(remembered(&next, &shared, NOW), Some(80));
}

#[test]
fn a_worker_that_configures_late_wipes_nothing() {
    for size in [16, 160] {
        let shared = Shared::default();
        let data = shared.clone();
        // Another worker is ready, and takes a callback, while this one is about to make the same keys.
        shared.rival(move || assert_eq!(reserve(&capacity(size, &data), &data, "one"), Answer::Fresh));
        let late = capacity(size, &shared);
        assert_eq!(reserve(&late, &shared, "one"), Answer::Seen);
        assert_eq!(remembered(&late, &shared, NOW), Some(1));
    }
}

#[test]
fn a_request_that_is_taken_costs_one_change_of_one_key() {
    let shared = Shared::default();
    let protection = capacity(65_536, &shared);
    let (loads, swaps) = (shared.loads(), shared.swaps());
    reserve(&protection, &shared, "one");
    protection.keep(&reservation("one", 1, NOW), &shared, NOW);
    assert_eq!((shared.loads() - loads, shared.swaps() - swaps), (1, 1));
}

#[test]
fn an_update_keeps_what_is_remembered() {
    let shared = Shared::default();
    let sizes = [16, 1000, 1008, 2000, 17, 1000, 65_536, 16];
    let mut seen = BTreeSet::new();
    for (turn, size) in sizes.into_iter().enumerate() {
        let now = NOW + i64::try_from(turn).unwrap();
        let protection = protection_at(&format!(r#""replay_capacity": {size}"#), &shared, now);
        let jti = format!("turn-{turn}");
        assert_eq!(protection.reserve(&reservation(&jti, 1, NOW), &shared, now), Answer::Fresh, "{size}");
        protection.keep(&reservation(&jti, 1, NOW), &shared, now);
        seen.insert(jti);
        for jti in &seen {
            assert_eq!(protection.reserve(&reservation(jti, 9, NOW), &shared, now), Answer::Seen, "{jti} after {size}");
        }
    }
}

#[test]
fn workers_with_different_capacities_agree() {
    for (old, new) in [(16, 1000), (1000, 16), (65_536, 1000), (1000, 1001)] {
        let shared = Shared::default();
        let old_worker = capacity(old, &shared);
        let new_worker = capacity(new, &shared);
        assert_eq!(reserve(&old_worker, &shared, "one"), Answer::Fresh);
        assert_eq!(reserve(&new_worker, &shared, "one"), Answer::Seen);
        assert_eq!(reserve(&new_worker, &shared, "two"), Answer::Fresh);
        assert_eq!(reserve(&old_worker, &shared, "two"), Answer::Seen);
        // Released by the one, free for the other.
        new_worker.release(&reservation("two", 1, NOW), &shared, NOW);
        assert_eq!(reserve(&old_worker, &shared, "two"), Answer::Fresh);
    }
}

#[test]
fn of_two_workers_with_different_capacities_at_once_no_more_than_one_is_first() {
    let shared = Shared::default();
    let old_worker = capacity(16, &shared);
    let new_worker = capacity(1000, &shared);
    let data = shared.clone();
    shared.rival(move || assert_eq!(reserve(&old_worker, &data, "one"), Answer::Fresh));
    assert_eq!(reserve(&new_worker, &shared, "one"), Answer::Seen);
    // What the loser wrote is gone; the winner's stays.
    assert_eq!(remembered(&new_worker, &shared, NOW), Some(0));
    assert_eq!(reserve(&new_worker, &shared, "one"), Answer::Seen);
}

/// While a worker still has the small table alone, the others must use it too; once it is full they go by their own.
#[test]
fn a_small_table_that_is_full_does_not_stop_a_large_one_of_the_same_name() {
    let shared = Shared::default();
    let small = capacity(1, &shared);
    let large = capacity(1000, &shared);
    assert_eq!(reserve(&large, &shared, "one"), Answer::Fresh);
    assert_eq!(reserve(&small, &shared, "two"), Answer::Full);
    assert_eq!(reserve(&small, &shared, "one"), Answer::Seen);
    assert_eq!(reserve(&large, &shared, "two"), Answer::Fresh);
    assert_eq!(reserve(&large, &shared, "two"), Answer::Seen);
}

/// Each has both tables, one as its own and one as the earlier: they take them in the same order.
#[test]
fn of_two_workers_that_swap_capacities_one_is_first() {
    for (first, second) in [(16, 1000), (1000, 16)] {
        let shared = Shared::default();
        let _before = capacity(first, &shared);
        let old_worker = capacity(second, &shared);
        let new_worker = capacity(first, &shared);
        let data = shared.clone();
        shared.rival(move || assert_eq!(reserve(&old_worker, &data, "one"), Answer::Fresh));
        assert_eq!(reserve(&new_worker, &shared, "one"), Answer::Seen);
        // The loser took nothing that the winner has.
        new_worker.keep(&reservation("one", 1, NOW), &shared, NOW);
        assert_eq!(remembered(&new_worker, &shared, NOW), Some(1));
    }
}

#[test]
fn a_full_table_can_be_made_larger() {
    let shared = Shared::default();
    let small = capacity(1, &shared);
    assert_eq!(reserve(&small, &shared, "one"), Answer::Fresh);
    assert_eq!(reserve(&small, &shared, "two"), Answer::Full);
    let large = capacity(100, &shared);
    assert_eq!(reserve(&large, &shared, "two"), Answer::Fresh);
    assert_eq!(reserve(&large, &shared, "one"), Answer::Seen);
}

#[test]
fn data_that_is_broken_or_no_window_is_unavailable() {
    let shared = Shared::default();
    let protection = capacity(1000, &shared);
    assert_eq!(reserve(&protection, &shared, "one"), Answer::Fresh);
    for bad in [&b"short"[..], &[0; 24], &[0; 24 * 33], b""] {
        shared.overwrite_all(bad);
        assert_eq!(reserve(&protection, &shared, "one"), Answer::Unavailable);
        assert_eq!(remembered(&protection, &shared, NOW), None);
    }
    let shared = Shared::default();
    let protection = capacity(1000, &shared);
    shared.break_down(true);
    assert_eq!(reserve(&protection, &shared, "one"), Answer::Unavailable);
    // Not even at the start: then nothing is ever taken.
    let protection = capacity(1000, &shared);
    shared.break_down(false);
    assert_eq!(reserve(&protection, &shared, "one"), Answer::Unavailable);
}

#[test]
fn the_reservation_lapses_and_the_memory_ends() {
    let shared = Shared::default();
    let protection = capacity(1000, &shared);
    let other_worker = capacity(1000, &shared);
    let first = reservation("one", 1, NOW);
    assert_eq!(protection.reserve(&first, &shared, NOW), Answer::Fresh);
    protection.lapse(&shared, NOW + 60);
    assert_eq!(other_worker.reserve(&reservation("one", 2, NOW), &shared, NOW + 60), Answer::Seen);
    // The reservation is the worker's that made it: no other lets it lapse.
    other_worker.lapse(&shared, NOW + 61);
    assert_eq!(other_worker.reserve(&reservation("one", 2, NOW), &shared, NOW + 61), Answer::Seen);
    protection.lapse(&shared, NOW + 61);
    let second = reservation("one", 2, NOW);
    assert_eq!(other_worker.reserve(&second, &shared, NOW + 61), Answer::Fresh);
    other_worker.keep(&second, &shared, NOW + 62);
    assert_eq!(protection.reserve(&reservation("one", 3, NOW), &shared, NOW + 330), Answer::Seen);
    assert_eq!(protection.reserve(&reservation("one", 3, NOW), &shared, NOW + 331), Answer::Fresh);
    assert_eq!(remembered(&protection, &shared, NOW + 1000), Some(0));
}

/// What is taken is remembered without another change, and so is what lapsed before it was taken.
#[test]
fn a_late_answer_counts() {
    for (taken, again) in [(true, Answer::Seen), (false, Answer::Fresh)] {
        let shared = Shared::default();
        let protection = capacity(1000, &shared);
        let late = reservation("one", 1, NOW);
        assert_eq!(protection.reserve(&late, &shared, NOW), Answer::Fresh);
        protection.lapse(&shared, NOW + 61);
        assert_eq!(remembered(&protection, &shared, NOW + 61), Some(0));
        settle(&protection, &late, taken, &shared, NOW + 62);
        assert_eq!(protection.reserve(&reservation("one", 2, NOW + 63), &shared, NOW + 63), again);
    }
}

/// It does no harm to the next delivery of the same callback.
#[test]
fn a_late_release_takes_nothing_from_another() {
    let shared = Shared::default();
    let protection = capacity(1000, &shared);
    let late = reservation("one", 1, NOW);
    assert_eq!(protection.reserve(&late, &shared, NOW), Answer::Fresh);
    protection.lapse(&shared, NOW + 61);
    let second = reservation("one", 2, NOW + 62);
    assert_eq!(protection.reserve(&second, &shared, NOW + 62), Answer::Fresh);
    protection.release(&late, &shared, NOW + 63);
    assert_eq!(protection.reserve(&reservation("one", 3, NOW + 64), &shared, NOW + 64), Answer::Seen);
}

/// A sandbox that ends fails what it has under way, and that alone.
#[test]
fn what_a_sandbox_leaves_can_come_again() {
    let shared = Shared::default();
    let _before = capacity(16, &shared);
    let (worker, other_worker) = (capacity(1000, &shared), capacity(1000, &shared));
    for (jti, owner) in [("taken", 1), ("under-way", 2), ("under-way-too", 3)] {
        assert_eq!(worker.reserve(&reservation(jti, owner, NOW), &shared, NOW), Answer::Fresh);
    }
    assert_eq!(other_worker.reserve(&reservation("anothers", 2, NOW), &shared, NOW), Answer::Fresh);
    worker.keep(&reservation("taken", 1, NOW), &shared, NOW);
    worker.abandon(&shared, NOW);
    let answers = ["taken", "anothers", "under-way", "under-way-too"].map(|jti| reserve(&other_worker, &shared, jti));
    assert_eq!(answers, [Answer::Seen, Answer::Seen, Answer::Fresh, Answer::Fresh]);
}

/// What can't be released when the answer comes is released later.
#[test]
fn a_release_that_fails_is_made_up_for() {
    let shared = Shared::default();
    let protection = capacity(1000, &shared);
    let first = reservation("one", 1, NOW);
    assert_eq!(protection.reserve(&first, &shared, NOW), Answer::Fresh);
    shared.break_down(true);
    protection.release(&first, &shared, NOW + 1);
    protection.lapse(&shared, NOW + 61);
    shared.break_down(false);
    assert_eq!(reserve(&protection, &shared, "one"), Answer::Seen);
    protection.lapse(&shared, NOW + 62);
    assert_eq!(protection.reserve(&reservation("one", 2, NOW + 62), &shared, NOW + 62), Answer::Fresh);
}

#[test]
fn nothing_is_left_of_what_was_settled() {
    let shared = Shared::default();
    let protection = capacity(1000, &shared);
    for (jti, taken) in [("one", true), ("two", false)] {
        assert_eq!(reserve(&protection, &shared, jti), Answer::Fresh);
        settle(&protection, &reservation(jti, 1, NOW), taken, &shared, NOW);
    }
    let loads = shared.loads();
    protection.lapse(&shared, NOW + 1000);
    protection.abandon(&shared, NOW + 1000);
    assert_eq!(shared.loads(), loads);
}
