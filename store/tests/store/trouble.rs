//! A store that is stopped, slow, full, or no store.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;
use redis::Value;
use secure_callbacks::Answer;
use secure_callbacks::replay::shared::{Change, Operation};
use secure_callbacks_proxies::Engine;
use secure_callbacks_store::{MOST_WAITING, NotAsked, Outcome, Settings};

use crate::Test;
use crate::holder::{Holder, wait};
use crate::server::{Server, TIMEOUT, settings};

pub(crate) const TESTS: &[Test] = &[
    ("stopped_and_started_again", stopped_and_started_again),
    ("paused", paused),
    ("a_connection_that_is_dead", a_connection_that_is_dead),
    ("a_keep_outlives_a_pause", a_keep_outlives_a_pause),
    ("a_question_waits_for_what_was_told_before", a_question_waits_for_what_was_told_before),
    ("restarted_between_two", restarted_between_two),
    ("nobody_there", nobody_there),
    ("nonsense", nonsense),
    ("a_connection_that_is_closed_at_once", a_connection_that_is_closed_at_once),
    ("the_queue_is_bounded", the_queue_is_bounded),
];

/// Short, so that a test of it is.
const SHORT: Duration = Duration::from_millis(200);

fn short(server: &Server) -> Settings {
    settings(&server.url(), None, SHORT)
}

fn stopped_and_started_again(engine: &'static Engine) -> Result<()> {
    let mut server = Server::start(engine)?;
    let here = Holder::new(&short(&server), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    server.stop();
    for _ in 0..5 {
        assert_eq!(here.reserve("b", 1), Answer::Unavailable);
    }
    wait(|| !here.told.changes().is_empty(), || "the circuit opens".into());
    let opened = here.told.changes();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].0, Change::Opened);
    assert!(opened[0].1.contains("refused") || opened[0].1.contains("closed"), "{}", opened[0].1);
    // One that comes later is told at once.
    assert_eq!(Holder::new(&short(&server), 2).told.changes()[0].0, Change::Opened);

    // Most are answered without being asked; one a second is asked.
    let begun = Instant::now();
    let before = here.told.calls().len();
    while begun.elapsed() < Duration::from_millis(3300) {
        let asked = Instant::now();
        assert_eq!(here.reserve("b", 1), Answer::Unavailable);
        assert!(asked.elapsed() < SHORT * 3, "{:?}", asked.elapsed());
        sleep(Duration::from_millis(5));
    }
    let calls = here.told.calls().split_off(before);
    let probes = calls.iter().filter(|call| call.1 != Outcome::NotAsked).count();
    assert!((2..=4).contains(&probes), "{probes} of {}", calls.len());
    assert!(calls.len() > 100, "{}", calls.len());

    server.go()?;
    wait(|| here.reserve("a", 1) == Answer::Fresh, || "it is asked again".into());
    let changes = here.told.changes();
    assert_eq!(changes.iter().map(|change| change.0).collect::<Vec<_>>(), [Change::Opened, Change::Closed]);
    assert!(changes[1].2.elapsed() < Duration::from_secs(3));
    assert_eq!(here.reserve("b", 1), Answer::Fresh, "it is empty");
    Ok(())
}

fn paused(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&short(&server), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    server.pause()?;
    let begun = Instant::now();
    let tickets: Vec<_> = (0..100).map(|number| here.ask(&format!("{number}"), 1).unwrap()).collect();
    for ticket in tickets {
        assert_eq!(here.answer(ticket), Answer::Unavailable);
    }
    let took = begun.elapsed();
    assert!((SHORT..SHORT * 4).contains(&took), "{took:?}");
    // What a host then says of each.
    (0..100).for_each(|number| here.release(&format!("{number}"), 1));
    let open = Instant::now();
    assert_eq!(here.reserve("b", 1), Answer::Unavailable);
    assert!(open.elapsed() < SHORT / 2, "not asked: {:?}", open.elapsed());
    assert_eq!(here.told.changes()[0].1, "no answer in time");
    sleep(Duration::from_millis(2500));
    server.go_on()?;
    here.told.wait_for(Operation::Release, Outcome::Answered, 100);
    assert_eq!(server.asked::<i64>(&["DBSIZE"])?, 1, "what it took while nobody waited is given back");
    wait(|| here.reserve("b", 1) == Answer::Fresh, || "it is asked again".into());
    Ok(())
}

/// Something between the two has forgotten the connection: new ones work.
fn a_connection_that_is_dead(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let relay = Relay::start(server.address)?;
    let here = Holder::new(&settings(&format!("redis://{}", relay.address), None, SHORT), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    relay.kill();
    let begun = Instant::now();
    assert_eq!(here.reserve("b", 1), Answer::Unavailable);
    wait(|| here.reserve("b", 1) == Answer::Fresh, || "a new connection".into());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    Ok(())
}

/// Answered by the application while the store could not be told: told as soon as it can be.
fn a_keep_outlives_a_pause(engine: &'static Engine) -> Result<()> {
    let mut server = Server::start(engine)?;
    let (here, there) = (Holder::new(&short(&server), 1), Holder::new(&short(&server), 2));
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    assert_eq!(here.reserve("b", 1), Answer::Fresh);
    server.pause()?;
    here.keep("a", 1);
    here.release("b", 1);
    sleep(Duration::from_secs(5));
    server.go_on()?;
    here.told.wait_for(Operation::Keep, Outcome::Answered, 1);
    here.told.wait_for(Operation::Release, Outcome::Answered, 1);
    wait(|| there.reserve("a", 1) == Answer::Seen, || "the keep".into());
    assert_eq!(there.reserve("b", 1), Answer::Fresh);
    // The same of one that was stopped, and forgot.
    server.stop();
    there.keep("b", 1);
    sleep(Duration::from_secs(2));
    server.go()?;
    there.told.wait_for(Operation::Keep, Outcome::Answered, 1);
    wait(|| here.reserve("b", 1) == Answer::Seen, || "the keep".into());
    Ok(())
}

/// The application refused it, the store could not be told at first, and the sender tries again.
fn a_question_waits_for_what_was_told_before(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    assert_eq!(here.reserve("b", 1), Answer::Fresh);
    // A replica, of a server that is not there: it answers, and takes nothing.
    let _: Value = server.asked(&["REPLICAOF", "127.0.0.1", "1"])?;
    here.release("a", 1);
    here.keep("b", 1);
    let refused = || server.asked::<String>(&["INFO", "errorstats"]).unwrap().contains("READONLY:count=4");
    wait(refused, || "each was asked twice".into());
    let _: Value = server.asked(&["REPLICAOF", "NO", "ONE"])?;
    assert_eq!(here.reserve("a", 2), Answer::Fresh);
    assert_eq!(here.reserve("b", 2), Answer::Seen);
    // Another key need not wait, and what waits too long is answered in time.
    server.pause()?;
    here.release("a", 2);
    sleep(Duration::from_millis(50));
    let begun = Instant::now();
    let ticket = here.ask("a", 3).unwrap();
    assert_eq!(here.answer(ticket), Answer::Unavailable);
    assert!(begun.elapsed() < TIMEOUT * 3 / 2, "{:?}", begun.elapsed());
    server.go_on()?;
    assert_eq!(here.reserve("a", 4), Answer::Fresh);
    Ok(())
}

/// A connection that broke while nobody used it costs nobody an answer.
fn restarted_between_two(engine: &'static Engine) -> Result<()> {
    let mut server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    for round in 0..3 {
        assert_eq!(here.reserve("a", 1), Answer::Fresh, "round {round}: it is empty again");
        server.stop();
        server.go()?;
    }
    assert_eq!(here.told.changes(), []);
    Ok(())
}

fn nobody_there(engine: &'static Engine) -> Result<()> {
    let mut server = Server::start(engine)?;
    server.stop();
    let here = Holder::new(&server.settings(), 1);
    for _ in 0..10 {
        assert_eq!(here.reserve("a", 1), Answer::Unavailable);
    }
    server.go()?;
    wait(|| here.reserve("a", 1) == Answer::Fresh, || "it is asked once it is there".into());
    Ok(())
}

/// Anything may listen there.
fn nonsense(_: &'static Engine) -> Result<()> {
    for (answer, why) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "it answers what no Redis answers"),
        (b"\x16\x03\x01\x02\x00\x01garbage\r\n\r\n", "it answers what no Redis answers"),
        (b":12345\r\n", "it answers what no Redis answers"),
        (b"*3\r\n:1\r\n:2\r\n:3\r\n", "it answers what no Redis answers"),
        (b"$5\r\nhello\r\n", "it answers what no Redis answers"),
        (b"+PONG\r\n", "it answers what no Redis answers"),
        (b"-ERR unknown command 'a password'\r\n", "its error ERR"),
        (b"-a password\r\n", "its error (unknown)"),
        (b"$100000\r\nand no more", "no answer in time"),
        (b"", "no answer in time"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                thread::spawn(move || {
                    let mut asked = [0; 4096];
                    while stream.read(&mut asked).is_ok_and(|count| count > 0) {
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let here = Holder::new(&settings(&format!("redis://{address}"), None, SHORT), 1);
        for _ in 0..5 {
            assert_eq!(here.reserve("a", 1), Answer::Unavailable, "{}", answer.escape_ascii());
        }
        wait(|| !here.told.changes().is_empty(), || format!("{}", answer.escape_ascii()));
        let (change, told, _) = &here.told.changes()[0];
        assert_eq!((*change, told.as_str()), (Change::Opened, why), "{}", answer.escape_ascii());
    }
    Ok(())
}

/// With a password the connection is never up, without one it is until it is used.
fn a_connection_that_is_closed_at_once(_: &'static Engine) -> Result<()> {
    for password in [None, Some("a password")] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        thread::spawn(move || {
            for _closed in listener.incoming() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
        let here = Holder::new(&settings(&format!("redis://{address}"), password, SHORT), 1);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            assert_eq!(here.reserve("a", 1), Answer::Unavailable);
            sleep(Duration::from_millis(5));
        }
        let connections = count.load(Ordering::SeqCst);
        assert!(connections < 40, "{connections} connections in 3 s, {password:?}");
    }
    Ok(())
}

fn the_queue_is_bounded(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    server.pause()?;
    let tickets: Vec<_> = (0..MOST_WAITING).map(|number| here.ask(&format!("{number}"), 1).unwrap()).collect();
    assert_eq!(here.ask("one more", 1), Err(NotAsked));
    assert_eq!(here.told.count(Operation::Reserve, Outcome::QueueFull), 1);
    // Of each kind: a keep finds a place.
    here.keep("a", 1);
    assert_eq!(here.told.count(Operation::Keep, Outcome::QueueFull), 0);
    server.go_on()?;
    for ticket in tickets {
        assert_eq!(here.answer(ticket), Answer::Fresh);
    }
    here.told.wait_for(Operation::Keep, Outcome::Answered, 1);
    assert_eq!(here.reserve("one more", 1), Answer::Fresh);
    Ok(())
}

/// Passes bytes on, to the server and back.
struct Relay {
    address: SocketAddr,
    /// How many connections there are.
    made: Arc<AtomicUsize>,
    /// So many of the first ones are dead: what they carry goes nowhere.
    dead: Arc<AtomicUsize>,
}

impl Relay {
    fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self { address: listener.local_addr()?, made: Arc::default(), dead: Arc::default() };
        let (made, dead) = (Arc::clone(&relay.made), Arc::clone(&relay.dead));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), Ok(onward)) = (stream, TcpStream::connect(server)) else { continue };
                let number = made.fetch_add(1, Ordering::SeqCst);
                for (mut from, mut to) in [(stream.try_clone().unwrap(), onward.try_clone().unwrap()), (onward, stream)]
                {
                    let dead = Arc::clone(&dead);
                    thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            let is_dead = number < dead.load(Ordering::SeqCst);
                            if !is_dead && to.write_all(&bytes[..count]).is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
        Ok(relay)
    }

    fn kill(&self) {
        self.dead.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}
