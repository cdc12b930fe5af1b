//! What happens to a command on the store's thread.

use secure_callbacks::replay::shared::Outcome;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use secure_callbacks::Answer;
use secure_callbacks::replay::PENDING_SECONDS;
use secure_callbacks::replay::shared::{Change, Circuit, Command};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{timeout, timeout_at};

use crate::client::Client;
use crate::failure::Failure;
use crate::link::Link;
use crate::settings::Target;
use crate::turns::{Turn, Turns};

/// How long it is tried to deliver a keep or a release: afterwards the reservation has lapsed.
const TELL_FOR: Duration = Duration::from_secs(PENDING_SECONDS.unsigned_abs());

/// How long a keep or a release that was not delivered waits, unless the store answers again before.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// What the store's thread and the holders of the store share.
pub(crate) struct Worker {
    pub(crate) link: Link,
    pub(crate) turns: Arc<Turns>,
    pub(crate) timeout: Duration,
    /// The store answers again.
    pub(crate) again: Notify,
    health: Mutex<Health>,
    started: Instant,
}

struct Health {
    circuit: Circuit,
    /// When the circuit opened last, and why.
    opened: (Instant, String),
    clients: Vec<Weak<Client>>,
}

/// One command of one holder. However it goes away, it is over then, and told to be.
pub(crate) struct Job {
    pub(crate) command: Command,
    /// What the answer is taken with; `None`: nobody waits for one.
    pub(crate) ticket: Option<u64>,
    pub(crate) client: Arc<Client>,
    pub(crate) given: Instant,
    pub(crate) _place: OwnedSemaphorePermit,
    /// What is told of it, as far as it has come.
    pub(crate) outcome: Outcome,
    pub(crate) answer: Answer,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.client.called(self.command.operation, self.outcome, self.given.elapsed());
        if let Some(ticket) = self.ticket {
            self.client.answer(ticket, self.answer);
        }
    }
}

impl Worker {
    pub(crate) fn new(target: Target, timeout: Duration) -> Self {
        let started = Instant::now();
        let health = Health { circuit: Circuit::default(), opened: (started, String::new()), clients: Vec::new() };
        Self {
            link: Link::new(target),
            turns: Arc::default(),
            timeout,
            again: Notify::new(),
            health: Mutex::new(health),
            started,
        }
    }

    /// Another holder: told of every change, and of an open circuit at once.
    pub(crate) fn join(&self, client: &Arc<Client>) {
        let mut health = self.health();
        health.clients.retain(|client| client.strong_count() > 0);
        health.clients.push(Arc::downgrade(client));
        let open = health.circuit.is_open().then(|| health.opened.1.clone());
        drop(health);
        if let Some(why) = open {
            client.changed(Change::Opened, &why);
        }
    }

    /// Whether the store may be asked now.
    pub(crate) fn may_ask(&self) -> bool {
        self.health().circuit.may_ask(self.started.elapsed())
    }

    /// Sees a command to its end.
    pub(crate) async fn run(&self, job: Job, turn: Turn) {
        let mut command = Cmd::with_capacity(job.command.words.len(), job.command.words.iter().map(String::len).sum());
        job.command.words.iter().for_each(|word| {
            command.arg(word);
        });
        if job.ticket.is_some() { self.ask(&command, job, turn).await } else { self.tell(&command, job, turn).await }
    }

    /// A question has one time-out for its turn, for a connection and for the answer.
    async fn ask(&self, command: &Cmd, mut job: Job, mut turn: Turn) {
        let deadline = (job.given + self.timeout).into();
        if timeout_at(deadline, turn.comes()).await.is_err() {
            drop(job);
            // Those behind wait for those before all the same.
            return turn.comes().await;
        }
        let sent = timeout_at(deadline, self.link.send(command)).await.unwrap_or_else(|_| Err(Failure::timed_out()));
        let answered = sent.and_then(|value| reserved(&job.command, &value));
        match &answered {
            Ok(answer) => (job.outcome, job.answer) = (Outcome::Answered, *answer),
            Err(failure) => job.outcome = failure.outcome,
        }
        self.judge(answered.as_ref().err(), job.given);
    }

    /// Nobody waits for it, so it is tried again: a keep that is lost would let a replay pass elsewhere.
    async fn tell(&self, command: &Cmd, mut job: Job, mut turn: Turn) {
        turn.comes().await;
        while job.given.elapsed() < TELL_FOR {
            if self.may_ask() {
                let begun = Instant::now();
                let sent = timeout(self.timeout, self.link.send(command)).await;
                let settled = sent.unwrap_or_else(|_| Err(Failure::timed_out())).and_then(|value| settled(&value));
                self.judge(settled.as_ref().err(), begun);
                job.outcome = settled.as_ref().map_or_else(|failure| failure.outcome, |()| Outcome::Answered);
                if settled.map_or_else(|failure| !failure.may_pass, |()| true) {
                    return;
                }
            }
            timeout(TELL_AGAIN, self.again.notified()).await.unwrap_or_default();
        }
    }

    /// Counts what came of a command that was sent at `begun`, and tells of a change.
    fn judge(&self, failure: Option<&Failure>, begun: Instant) {
        let mut health = self.health();
        let change = match failure {
            None => health.circuit.succeeded(),
            Some(failure) => {
                // A probe: the connection may be dead and its successor not. Before, it is kept, because what follows over
                // it (a release) must not overtake what is still on its way.
                if failure.outcome == Outcome::TimedOut && health.circuit.is_open() && begun > health.opened.0 {
                    self.link.renew();
                }
                let change = health.circuit.failed(self.started.elapsed());
                if change.is_some() {
                    health.opened = (Instant::now(), failure.why.clone());
                }
                change
            }
        };
        let Some(change) = change else { return };
        let clients: Vec<_> = health.clients.iter().filter_map(Weak::upgrade).collect();
        drop(health);
        let why = failure.map_or("it answers again", |failure| &failure.why);
        clients.iter().for_each(|client| client.changed(change, why));
        if change == Change::Closed {
            self.again.notify_waiters();
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was there before, or nothing.
fn reserved(command: &Command, value: &Value) -> Result<Answer, Failure> {
    let answer = match value {
        Value::Nil => command.answer(None),
        Value::BulkString(before) => command.answer(Some(before)),
        _ => Answer::Unavailable,
    };
    if answer == Answer::Unavailable { Err(Failure::not_understood()) } else { Ok(answer) }
}

/// How many keys it has changed.
fn settled(value: &Value) -> Result<(), Failure> {
    if matches!(value, Value::Int(0 | 1)) { Ok(()) } else { Err(Failure::not_understood()) }
}
