//! A store as a host holds it, and all that it is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use secure_callbacks::replay::Key;
use secure_callbacks::replay::shared::{Change, Command, Operation, Protocol};
use secure_callbacks::{Answer, Reservation};
use secure_callbacks_store::{NotAsked, Observer, Outcome, Settings, Store};

/// When all of this happens.
pub(crate) const NOW: i64 = 1_000_000;

/// How long a reservation that is kept is remembered.
pub(crate) const KEPT_FOR: i64 = 330;

/// One host's store.
pub(crate) struct Holder {
    pub(crate) store: Option<Store>,
    pub(crate) told: Arc<Told>,
    protocol: Protocol,
    tickets: AtomicU64,
    answers: Mutex<HashMap<u64, Answer>>,
}

/// What an observer was told.
#[derive(Default)]
pub(crate) struct Told {
    bell: Condvar,
    woken: Mutex<u64>,
    calls: Mutex<Vec<(Operation, Outcome, Duration)>>,
    changes: Mutex<Vec<(Change, String, Instant)>>,
}

impl Observer for Told {
    fn answered(&self) {
        *self.woken.lock().unwrap() += 1;
        self.bell.notify_all();
    }

    fn called(&self, operation: Operation, outcome: Outcome, elapsed: Duration) {
        self.calls.lock().unwrap().push((operation, outcome, elapsed));
        self.bell.notify_all();
    }

    fn changed(&self, change: Change, why: &str) {
        self.changes.lock().unwrap().push((change, why.to_owned(), Instant::now()));
        self.bell.notify_all();
    }
}

impl Told {
    pub(crate) fn changes(&self) -> Vec<(Change, String, Instant)> {
        self.changes.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> Vec<(Operation, Outcome, Duration)> {
        self.calls.lock().unwrap().clone()
    }

    /// How many ended so.
    pub(crate) fn count(&self, operation: Operation, outcome: Outcome) -> usize {
        self.calls().iter().filter(|call| (call.0, call.1) == (operation, outcome)).count()
    }

    /// Waits until so many keeps and releases have ended so.
    pub(crate) fn wait_for(&self, operation: Operation, outcome: Outcome, count: usize) {
        wait(|| self.count(operation, outcome) >= count, || format!("{operation:?} {outcome:?}: {:?}", self.calls()));
    }
}

/// Waits until it is so.
pub(crate) fn wait(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {}", what());
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Holder {
    /// One process of a fleet; `process` tells it from others.
    pub(crate) fn new(settings: &Settings, process: u64) -> Self {
        let told = Arc::new(Told::default());
        let store = Store::start(settings, Arc::clone(&told) as Arc<dyn Observer>).unwrap();
        let protocol = Protocol::new("sc:", "video", process);
        Self { store: Some(store), told, protocol, tickets: AtomicU64::new(1), answers: Mutex::default() }
    }

    pub(crate) fn command(&self, id: &str, owner: u32) -> Command {
        self.protocol.reserve(&reservation(id, owner))
    }

    /// Asks, and hands out the ticket.
    pub(crate) fn ask(&self, id: &str, owner: u32) -> Result<u64, NotAsked> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.store().ask(ticket, self.command(id, owner)).map(|()| ticket)
    }

    /// Waits for the answer.
    pub(crate) fn answer(&self, ticket: u64) -> Answer {
        let begun = Instant::now();
        loop {
            let woken = self.told.woken.lock().unwrap();
            self.store().take(|ticket, answer| {
                assert_eq!(self.answers.lock().unwrap().insert(ticket, answer), None, "answered twice");
            });
            if let Some(answer) = self.answers.lock().unwrap().get(&ticket) {
                return *answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no answer within 20 s");
            let (woken, _) = self.told.bell.wait_timeout(woken, Duration::from_secs(1)).unwrap();
            drop(woken);
        }
    }

    /// Asks and waits. What is not asked is unavailable.
    pub(crate) fn reserve(&self, id: &str, owner: u32) -> Answer {
        self.ask(id, owner).map_or(Answer::Unavailable, |ticket| self.answer(ticket))
    }

    pub(crate) fn keep(&self, id: &str, owner: u32) {
        self.store().tell(self.protocol.keep(&reservation(id, owner), NOW));
    }

    pub(crate) fn release(&self, id: &str, owner: u32) {
        self.store().tell(self.protocol.release(&reservation(id, owner)));
    }

    /// Keeps, and waits until that has ended.
    pub(crate) fn kept(&self, id: &str, owner: u32) {
        self.settled(Operation::Keep, || self.keep(id, owner));
    }

    /// Releases, and waits until that has ended.
    pub(crate) fn released(&self, id: &str, owner: u32) {
        self.settled(Operation::Release, || self.release(id, owner));
    }

    fn settled(&self, operation: Operation, tell: impl FnOnce()) {
        let before = self.told.count(operation, Outcome::Answered);
        tell();
        self.told.wait_for(operation, Outcome::Answered, before + 1);
    }

    pub(crate) fn key(&self, id: &str) -> String {
        self.command(id, 1).key().to_owned()
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

pub(crate) fn reservation(id: &str, owner: u32) -> Reservation {
    Reservation::new(Key::new("a1b2c3d", id), owner, NOW, NOW + KEPT_FOR)
}
