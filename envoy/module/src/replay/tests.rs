//! What is remembered through changes of configurations, and what it costs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use secure_callbacks::{Answer, Policy, PolicyConfig, RequestHead, Reservation, Settled, TokenField, Verifier};
use secure_callbacks_support::Token;
use secure_callbacks_support::token::{API_KEY, SECRET};

use super::{Registry, Share};

const NOW: i64 = 1_700_000_000;

fn policy(more: &str) -> Policy {
    let json = format!(r#"{{"accounts": [{{"api_key": "{API_KEY}", "secrets": ["text:{SECRET}"]}}]{more}}}"#);
    PolicyConfig::from_json(&json).unwrap().resolve(&()).unwrap()
}

fn open(registry: &Registry, capacity: u32, now: i64) -> Share {
    registry.open(&policy(&format!(r#", "replay_capacity": {capacity}"#)), now).unwrap()
}

fn reservation(jti: &str, owner: u32, now: i64) -> Reservation {
    let token = format!("Bearer {}", Token::valid(b"", now).claim("jti", jti).sign());
    let head =
        RequestHead { token: TokenField::Once(token.as_bytes()), content_length: None, line: None, connection: &() };
    let pending = Verifier::new(policy("")).start(&head, now).unwrap();
    pending.end(now).unwrap().reservation(owner, now).unwrap()
}

/// A reservation under another policy than the usual, of a token that was issued at `iat`.
fn reservation_under(policy: Policy, jti: &str, iat: i64, now: i64) -> Reservation {
    let token = format!("Bearer {}", Token::valid(b"", iat).claim("jti", jti).sign());
    let head =
        RequestHead { token: TokenField::Once(token.as_bytes()), content_length: None, line: None, connection: &() };
    Verifier::new(policy).start(&head, now).unwrap().end(now).unwrap().reservation(7, now).unwrap()
}

fn take(share: &Share, jti: &str) {
    let reservation = reservation(jti, 1, NOW);
    assert_eq!(share.reserve(&reservation, NOW), Answer::Fresh, "{jti}");
    share.settle(&Settled::Keep(reservation), NOW);
}

fn asked(share: &Share, jti: &str) -> Answer {
    share.reserve(&reservation(jti, 2, NOW), NOW)
}

#[test]
fn policies_of_one_name_share_a_memory_and_others_do_not() {
    let registry = Registry::new();
    let first = open(&registry, 1000, NOW);
    take(&first, "one");
    assert_eq!(asked(&open(&registry, 1000, NOW), "one"), Answer::Seen);
    let other = registry.open(&policy(r#", "name": "other""#), NOW).unwrap();
    assert_eq!(asked(&other, "one"), Answer::Fresh);
}

#[test]
fn what_is_remembered_outlives_every_configuration_and_then_goes() {
    let registry = Registry::new();
    let names = |now| {
        let mut names = Vec::new();
        registry.each(now, |name, entries| names.push((name.to_owned(), entries)));
        names
    };
    take(&open(&registry, 1000, NOW), "one");
    assert_eq!(names(NOW), [("default".to_owned(), 1)]);
    assert_eq!(asked(&open(&registry, 1000, NOW), "one"), Answer::Seen);
    let other = || registry.open(&policy(r#", "name": "other""#), NOW + 400).unwrap();
    drop(other());
    assert_eq!(names(NOW + 400), [("other".to_owned(), 0)]);
}

#[test]
fn a_change_of_capacity_keeps_what_is_remembered_and_what_is_on_its_way() {
    for (before, after) in [(10, 1000), (1000, 10), (1000, 5000), (5000, 300)] {
        let registry = Registry::new();
        let old = open(&registry, before, NOW);
        take(&old, "taken");
        let [kept, released] = ["kept", "released"].map(|jti| reservation(jti, 1, NOW));
        for reservation in [&kept, &released] {
            assert_eq!(old.reserve(reservation, NOW), Answer::Fresh);
        }
        let new = open(&registry, after, NOW);
        for jti in ["taken", "kept", "released"] {
            assert!(matches!(asked(&new, jti), Answer::Seen | Answer::InFlight), "{before} to {after}: {jti}");
        }
        // The requests of the configuration before come to their end.
        old.settle(&Settled::Keep(kept), NOW);
        old.settle(&Settled::Release(released), NOW);
        drop(old);
        assert_eq!(new.live(NOW), 2, "{before} to {after}");
        assert_eq!(asked(&new, "kept"), Answer::Seen);
        assert_eq!(asked(&new, "released"), Answer::Fresh);
    }
}

#[test]
fn a_configuration_that_does_not_come_into_force_changes_nothing() {
    let registry = Registry::new();
    let share = open(&registry, 1000, NOW);
    drop(open(&registry, 1, NOW));
    for jti in ["one", "two", "three"] {
        take(&share, jti);
    }
}

/// The larger table stays until what is in it fits.
#[test]
fn a_capacity_that_is_too_small_waits() {
    let registry = Registry::new();
    let old = open(&registry, 100, NOW);
    let taken: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    taken.iter().for_each(|jti| take(&old, jti));
    let new = open(&registry, 10, NOW);
    drop(old);
    assert_eq!(new.live(NOW), 30);
    assert!(taken.iter().all(|jti| asked(&new, jti) == Answer::Seen));
    let later = NOW + 400;
    assert_eq!(new.live(later), 0);
    let answers: Vec<_> = (0..11).map(|jti| new.reserve(&reservation(&format!("l{jti}"), 1, later), later)).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::Fresh).count(), 10, "{answers:?}");
}

/// A filter and a route without names have one memory: what one has taken the other must not take again.
#[test]
fn policies_of_one_name_remember_for_the_most_patient() {
    let registry = Registry::new();
    let long = || policy(r#", "max_age": "1h""#);
    let (short, patient) = (registry.open(&policy(""), NOW).unwrap(), registry.open(&long(), NOW).unwrap());
    let first = reservation_under(policy(""), "one", NOW, NOW);
    assert_eq!(short.reserve(&first, NOW), Answer::Fresh);
    short.settle(&Settled::Keep(first), NOW);
    for later in [NOW + 331, NOW + 3600] {
        let again = reservation_under(long(), "one", NOW, later);
        assert_eq!(patient.reserve(&again, later), Answer::Seen, "{}", later - NOW);
    }
}

#[test]
fn one_of_many_threads_gets_a_callback() {
    let registry = Registry::new();
    let share = open(&registry, 1000, NOW);
    let reservation = reservation("one", 1, NOW);
    let fresh = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let first = share.reserve(&reservation, NOW) == Answer::Fresh;
                fresh.fetch_add(u32::from(first), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(fresh.into_inner(), 1);
}

/// `cargo test --release -p secure-callbacks-envoy-module -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn a_look_into_the_table() {
    const ROUNDS: u32 = 400_000;
    let registry = Registry::new();
    let share = open(&registry, 65_536, NOW);
    let reservations: Vec<_> = (0..2000).map(|number| reservation(&format!("r{number}"), 1, NOW)).collect();
    for threads in [1_u32, 2, 4, 8] {
        let start = Instant::now();
        thread::scope(|scope| {
            for thread in 0..threads {
                let (share, reservations) = (&share, &reservations);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let place = (round.wrapping_mul(7).wrapping_add(thread * 500)) as usize % reservations.len();
                        let reservation = reservations[place];
                        if share.reserve(&reservation, NOW) == Answer::Fresh {
                            share.settle(&Settled::Release(reservation), NOW);
                        }
                    }
                });
            }
        });
        let each = start.elapsed() / (ROUNDS * threads);
        println!("{threads} threads: {each:?} of the clock for reserving and releasing one callback");
    }
}
