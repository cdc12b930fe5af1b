//! A worker's link to the store that a fleet shares, and the requests that wait for its answers.
//!
//! A question is asked on nginx's thread and answered on the store's, which rings a bell in nginx's event loop. What keeps
//! a reservation or releases it is only told: it goes on its way also when its request is gone.
#![forbid(unsafe_code)]

use core::cell::RefCell;
use core::fmt;
use core::hash::{BuildHasher, Hasher};
use core::mem;
use core::time::Duration;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::process;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::vec::Vec;

use secure_callbacks::replay::shared::{Change, Operation, Outcome, Protocol, Tally};
use secure_callbacks::{Answer, Policy, PolicyError, Reservation, Settled};
use secure_callbacks_store::{Observer, Settings, Store};

use crate::host::request::Held;
use crate::host::wake::{self, Bell};

/// How much longer than the store's own time-out nginx looks after those who wait: every question is answered before.
const GRACE: Duration = Duration::from_secs(1);

/// What the store tells of, on its own thread.
struct Watch {
    policy: String,
    is_optional: bool,
    tally: &'static Tally,
    bell: Arc<Bell>,
    /// Lines for the log, which nginx's thread writes.
    said: Mutex<Vec<String>>,
}

impl Observer for Watch {
    fn answered(&self) {
        self.bell.ring();
    }

    fn called(&self, operation: Operation, outcome: Outcome, elapsed: Duration) {
        self.tally.count(operation, outcome);
        if outcome == Outcome::Answered {
            self.tally.took(elapsed);
        }
    }

    fn changed(&self, change: Change, why: &str) {
        self.tally.set_open(change == Change::Opened);
        let line = change.line(&self.policy, why, self.is_optional);
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        self.bell.ring();
    }
}

/// How one policy asks, in one worker.
#[derive(Debug)]
pub(crate) struct Link {
    store: Store,
    protocol: Protocol,
    timeout: Duration,
    watch: Arc<Watch>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Link {
    /// Whether a policy's store, if it has one, is one that can be asked from here.
    pub(crate) fn check(policy: &Policy) -> Result<(), PolicyError> {
        policy.shared_store().map_or(Ok(()), |store| Settings::try_from(store).map(drop))
    }

    /// Starts to ask, in a worker; `None`: the policy has no such store, or it can't be asked.
    pub(crate) fn open(policy: &Policy, tally: &'static Tally, bell: &Arc<Bell>) -> Option<Self> {
        let shared = policy.shared_store()?;
        let watch = Arc::new(Watch {
            policy: policy.name().into(),
            is_optional: shared.is_optional(),
            tally,
            bell: Arc::clone(bell),
            said: Mutex::default(),
        });
        let observer = Arc::clone(&watch);
        let store = Store::start(&Settings::try_from(shared).ok()?, observer).ok()?;
        let protocol = Protocol::new(shared.prefix(), policy.name(), process_number());
        Some(Self { store, protocol, timeout: shared.timeout(), watch })
    }

    /// Asks for a request that is held; `None`: the store can't be asked now.
    pub(crate) fn reserve(&self, reservation: &Reservation, held: Held) -> Option<Ticket> {
        let ticket = Ticket::new(held);
        self.store.ask(ticket.0, self.protocol.reserve(reservation)).ok()?;
        wake::within(self.timeout.saturating_add(GRACE));
        Some(ticket)
    }

    pub(crate) fn settle(&self, settled: &Settled, now: i64) {
        match settled {
            Settled::Keep(reservation) => self.store.tell(self.protocol.keep(reservation, now)),
            Settled::Release(reservation) => self.store.tell(self.protocol.release(reservation)),
            Settled::KeepHere(_) | Settled::ReleaseHere(_) => {}
        }
    }

    /// Gives the answers that have come.
    pub(crate) fn take(&self, answered: impl FnMut(u64, Answer)) {
        self.store.take(answered);
    }

    /// Gives the lines that are to be logged.
    pub(crate) fn said(&self) -> Vec<String> {
        mem::take(&mut self.watch.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A number that no other process of the fleet has. Workers are copies of one process, so that what is random in it may be
/// the same in all of them.
fn process_number() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(process::id());
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(since.as_nanos());
    hasher.finish()
}

/// The requests of this worker that wait.
#[derive(Default)]
struct Waiting {
    last: u64,
    held: HashMap<u64, Held>,
}

std::thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// A request's place among those that wait. Without it nobody finds the request any more.
pub(crate) struct Ticket(u64);

impl Ticket {
    fn new(held: Held) -> Self {
        WAITING.with_borrow_mut(|waiting| {
            waiting.last = waiting.last.wrapping_add(1);
            waiting.held.insert(waiting.last, held);
            Self(waiting.last)
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The thread's own data may be gone when the worker ends.
        let _ = WAITING.try_with(|waiting| {
            if let Ok(mut waiting) = waiting.try_borrow_mut() {
                waiting.held.remove(&self.0);
                if waiting.held.is_empty() {
                    wake::no_more();
                }
            }
        });
    }
}

/// The request that waits with this number.
pub(crate) fn waiting(number: u64) -> Option<Held> {
    WAITING.with_borrow(|waiting| waiting.held.get(&number).copied())
}

/// Looks after those who still wait.
pub(crate) fn look_after() {
    if WAITING.with_borrow(|waiting| !waiting.held.is_empty()) {
        wake::within(GRACE);
    }
}
