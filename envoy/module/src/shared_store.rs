//! What a policy's shared store is asked, for all workers, and the requests that wait for its answers.
//!
//! A request asks on its worker's thread; the answer comes on the store's, and Envoy calls the request back on its own.
//! What keeps a reservation or releases it is only told: it goes on its way also when its request is gone.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use secure_callbacks::problem::Problem;
use secure_callbacks::replay::shared::{Change, Operation, Outcome, Protocol, Tally};
use secure_callbacks::{Answer, Policy, PolicyError, Reservation, Settled, UnixSeconds};
use secure_callbacks_store::{Observer, Settings, Store};

use crate::abi::{self, Recall};

/// The answers, by their numbers in what a request is called back with.
const ANSWERS: [Answer; 5] = [Answer::Fresh, Answer::Seen, Answer::InFlight, Answer::Full, Answer::Unavailable];

/// Of how many bits the answer is.
const ANSWER_BITS: u32 = 8;

/// How one policy asks.
pub(crate) struct Link {
    store: Arc<Store>,
    protocol: Protocol,
    watch: Arc<Watch>,
}

/// What the store tells of, on its own thread.
struct Watch {
    policy: String,
    is_optional: bool,
    tally: Tally,
    waiting: Mutex<Waiting>,
    store: OnceLock<Weak<Store>>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    recalls: HashMap<u64, (Recall, Instant)>,
}

impl Watch {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn answered(&self) {
        let Some(store) = self.store.get().and_then(Weak::upgrade) else { return };
        let mut waiting = self.waiting();
        store.take(|ticket, answer| {
            if let Some((recall, asked)) = waiting.recalls.remove(&ticket) {
                recall.commit(event(answer, asked.elapsed()));
            }
        });
        drop(waiting);
    }

    fn called(&self, operation: Operation, outcome: Outcome, _: Duration) {
        self.tally.count(operation, outcome);
    }

    fn changed(&self, change: Change, why: &str) {
        self.tally.set_open(change == Change::Opened);
        log::warn!("{}", change.line(&self.policy, why, self.is_optional));
    }
}

/// Every link of the process.
fn links() -> MutexGuard<'static, Vec<Weak<Link>>> {
    static LINKS: Mutex<Vec<Weak<Link>>> = Mutex::new(Vec::new());
    LINKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Begins to ask a policy's store; `Ok(None)`: it shares none.
    pub(crate) fn open(policy: &Policy) -> Result<Option<Arc<Self>>, PolicyError> {
        let Some(shared) = policy.shared_store() else { return Ok(None) };
        let settings = Settings::try_from(shared)?;
        if abi::only_validates() {
            return Ok(None);
        }
        let watch = Arc::new(Watch {
            policy: policy.name().into(),
            is_optional: shared.is_optional(),
            tally: Tally::default(),
            waiting: Mutex::default(),
            store: OnceLock::new(),
        });
        let observer = Arc::clone(&watch);
        let store = Store::start(&settings, observer)
            .map_err(|_| PolicyError::new("replay_store", Problem::Expected("the system to have a thread for it")))?;
        let store = Arc::new(store);
        // It was empty.
        let _ = watch.store.set(Arc::downgrade(&store));
        let protocol = Protocol::new(shared.prefix(), policy.name(), process_number());
        let link = Arc::new(Self { store, protocol, watch });
        let mut links = links();
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(&link));
        Ok(Some(link))
    }

    /// Asks for a request that is held until it is called back; `None`: the store can't be asked now.
    pub(crate) fn reserve(self: &Arc<Self>, reservation: &Reservation, recall: Recall) -> Option<Ticket> {
        let mut waiting = self.watch.waiting();
        waiting.last = waiting.last.wrapping_add(1);
        let number = waiting.last;
        waiting.recalls.insert(number, (recall, Instant::now()));
        drop(waiting);
        let ticket = Ticket { number, link: Arc::clone(self) };
        self.store.ask(number, self.protocol.reserve(reservation)).ok()?;
        Some(ticket)
    }

    pub(crate) fn settle(&self, settled: &Settled, now: UnixSeconds) {
        match settled {
            Settled::Keep(reservation) => self.store.tell(self.protocol.keep(reservation, now)),
            Settled::Release(reservation) => self.store.tell(self.protocol.release(reservation)),
            Settled::KeepHere(_) | Settled::ReleaseHere(_) => {}
        }
    }

    /// What it was asked.
    pub(crate) fn tally(&self) -> &Tally {
        &self.watch.tally
    }

    /// Shows what was asked since the last time, of every policy, and whether its store is not asked now.
    pub(crate) fn each(mut show: impl FnMut(&str, &Tally)) {
        let links: Vec<_> = links().iter().filter_map(Weak::upgrade).collect();
        for link in &links {
            show(&link.watch.policy, &link.watch.tally);
        }
    }
}

/// A request's place among those that wait. Without it nobody calls the request back.
pub(crate) struct Ticket {
    number: u64,
    link: Arc<Link>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Envoy's side of it is dropped with the lock given back.
        let recall = self.link.watch.waiting().recalls.remove(&self.number);
        drop(recall);
    }
}

/// A number that no other process of the fleet has.
fn process_number() -> u64 {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    *PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()))
}

fn event(answer: Answer, elapsed: Duration) -> u64 {
    let number = ANSWERS.iter().position(|other| *other == answer).and_then(|number| u64::try_from(number).ok());
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    (micros << ANSWER_BITS) | number.unwrap_or(u64::MAX >> (u64::BITS - ANSWER_BITS))
}

/// What a request is called back with: the answer, and how long it took.
pub(crate) fn read_event(event: u64) -> (Answer, Duration) {
    let number = usize::try_from(event & ((1 << ANSWER_BITS) - 1)).unwrap_or(usize::MAX);
    let answer = ANSWERS.get(number).copied().unwrap_or(Answer::Unavailable);
    (answer, Duration::from_micros(event >> ANSWER_BITS))
}
