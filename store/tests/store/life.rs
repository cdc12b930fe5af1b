//! The life of a reservation in a real engine.

use std::sync::Arc;
use std::thread;

use anyhow::Result;
use redis::Value;
use secure_callbacks::Answer;
use secure_callbacks::replay::shared::{Change, Operation};
use secure_callbacks_proxies::Engine;
use secure_callbacks_store::Outcome;

use crate::Test;
use crate::holder::{Holder, KEPT_FOR};
use crate::server::{Server, settings};

pub(crate) const TESTS: &[Test] = &[
    ("version", version),
    ("reserve_keep_release", reserve_keep_release),
    ("pending_lapses", pending_lapses),
    ("keep_after_a_lapse", keep_after_a_lapse),
    ("somebody_elses_is_left_alone", somebody_elses_is_left_alone),
    ("one_of_a_thousand_is_fresh", one_of_a_thousand_is_fresh),
    ("release_follows_its_reservation", release_follows_its_reservation),
    ("what_is_no_reservation_is_not_understood", what_is_no_reservation_is_not_understood),
];

/// `SET … NX GET` is of Redis 7.0; every Valkey has it.
fn version(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let told: String = server.asked(&["INFO", "server"])?;
    let version = |name: &str| told.lines().find_map(|line| line.strip_prefix(&format!("{name}_version:")));
    let own = version(engine.name).unwrap_or_default();
    let major: u32 = own.split('.').next().unwrap_or_default().parse()?;
    assert!(major >= 7, "{own}");
    assert_eq!(server.asked::<Value>(&["SET", "k", "a", "NX", "GET", "PX", "60000"])?, Value::Nil);
    assert_eq!(server.asked::<String>(&["SET", "k", "b", "NX", "GET", "PX", "60000"])?, "a");
    assert_eq!(server.asked::<String>(&["GET", "k"])?, "a", "what was there stays");
    Ok(())
}

fn reserve_keep_release(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let (here, there) = (Holder::new(&server.settings(), 1), Holder::new(&server.settings(), 2));
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    assert_eq!(here.reserve("a", 1), Answer::Fresh, "its own, asked once more");
    assert_eq!(there.reserve("a", 1), Answer::InFlight);
    assert_eq!(here.reserve("a", 2), Answer::InFlight, "another request here");
    let left: i64 = server.asked(&["PTTL", &here.key("a")])?;
    assert!((50_000..=60_000).contains(&left), "{left}");
    here.kept("a", 1);
    assert_eq!(there.reserve("a", 1), Answer::Seen);
    assert_eq!(here.reserve("a", 1), Answer::Seen);
    let left: i64 = server.asked(&["PTTL", &here.key("a")])?;
    assert!((KEPT_FOR * 1000 - 10_000..=KEPT_FOR * 1000).contains(&left), "{left}");

    assert_eq!(here.reserve("b", 1), Answer::Fresh);
    here.released("b", 1);
    assert_eq!(server.asked::<i64>(&["EXISTS", &here.key("b")])?, 0);
    assert_eq!(there.reserve("b", 1), Answer::Fresh);
    assert_eq!(here.told.changes(), [], "nothing to tell");
    assert_eq!(here.told.count(Operation::Reserve, Outcome::Answered), 5);
    Ok(())
}

fn pending_lapses(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let (here, there) = (Holder::new(&server.settings(), 1), Holder::new(&server.settings(), 2));
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    lapse(&server, &here, "a")?;
    assert_eq!(there.reserve("a", 1), Answer::Fresh);
    Ok(())
}

fn keep_after_a_lapse(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let (here, there) = (Holder::new(&server.settings(), 1), Holder::new(&server.settings(), 2));
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    lapse(&server, &here, "a")?;
    here.kept("a", 1);
    assert_eq!(there.reserve("a", 1), Answer::Seen);
    Ok(())
}

fn somebody_elses_is_left_alone(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let (here, there) = (Holder::new(&server.settings(), 1), Holder::new(&server.settings(), 2));
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    lapse(&server, &here, "a")?;
    assert_eq!(there.reserve("a", 1), Answer::Fresh);
    let theirs: String = server.asked(&["GET", &here.key("a")])?;
    for settle in [Holder::kept, Holder::released] {
        settle(&here, "a", 1);
        assert_eq!(server.asked::<String>(&["GET", &here.key("a")])?, theirs);
    }
    // The same request number in another process, and another one in the same.
    here.released("a", 2);
    assert_eq!(here.reserve("a", 1), Answer::InFlight);
    there.kept("a", 1);
    there.released("a", 1);
    assert_eq!(here.reserve("a", 1), Answer::Seen, "what is kept is not released");
    Ok(())
}

/// Four processes of a fleet, each on a connection of its own, and the callback copied a thousand times.
fn one_of_a_thousand_is_fresh(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    // Other settings, another thread: equal ones would share it.
    let of = |process: u64| settings(&server.url(), None, std::time::Duration::from_secs(9 + process));
    let holders: Vec<_> = (0..4).map(|process| Arc::new(Holder::new(&of(process), process))).collect();
    for round in 0..20 {
        let id = format!("round {round}");
        let ask = |holder: &Arc<Holder>| {
            let (holder, id) = (Arc::clone(holder), id.clone());
            thread::spawn(move || {
                let tickets: Vec<_> = (1..=250).map(|owner| holder.ask(&id, owner).unwrap()).collect();
                tickets.into_iter().map(|ticket| holder.answer(ticket)).collect::<Vec<_>>()
            })
        };
        let asked: Vec<_> = holders.iter().map(ask).collect();
        let answers: Vec<_> = asked.into_iter().flat_map(|asked| asked.join().unwrap()).collect();
        let count = |due| answers.iter().filter(|answer| **answer == due).count();
        assert_eq!((count(Answer::Fresh), count(Answer::InFlight)), (1, 999), "round {round}");
    }
    assert_eq!(server.connections()?.len(), 4);
    Ok(())
}

/// Without waiting for any answer.
fn release_follows_its_reservation(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    let tickets: Vec<_> = (0..500)
        .map(|number| {
            let id = format!("{number}");
            let ticket = here.ask(&id, 1).unwrap();
            here.release(&id, 1);
            ticket
        })
        .collect();
    assert!(tickets.into_iter().all(|ticket| here.answer(ticket) == Answer::Fresh));
    here.told.wait_for(Operation::Release, Outcome::Answered, 500);
    assert_eq!(server.asked::<i64>(&["DBSIZE"])?, 0, "nothing is left behind");
    Ok(())
}

/// Somebody else writes under our keys.
fn what_is_no_reservation_is_not_understood(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    let _: Value = server.asked(&["SET", &here.key("a"), "nonsense"])?;
    let _: Value = server.asked(&["RPUSH", &here.key("b"), "a list"])?;
    assert_eq!(here.reserve("a", 1), Answer::Unavailable);
    assert_eq!(here.reserve("b", 1), Answer::Unavailable);
    assert_eq!(here.told.count(Operation::Reserve, Outcome::NotUnderstood), 1);
    assert_eq!(here.told.count(Operation::Reserve, Outcome::Error), 1);
    for _ in 0..3 {
        assert_eq!(here.reserve("b", 1), Answer::Unavailable);
    }
    let changes = here.told.changes();
    assert_eq!((changes[0].0, changes[0].1.as_str()), (Change::Opened, "its error WRONGTYPE"));
    Ok(())
}

/// A minute later, as far as this key goes.
fn lapse(server: &Server, holder: &Holder, id: &str) -> Result<()> {
    assert_eq!(server.asked::<i64>(&["PEXPIRE", &holder.key(id), "1"])?, 1);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(server.asked::<i64>(&["EXISTS", &holder.key(id)])?, 0);
    Ok(())
}
