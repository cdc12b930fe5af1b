//! What a host holds.

use secure_callbacks::replay::shared::Outcome;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io, mem, process};

use secure_callbacks::Answer;
use secure_callbacks::replay::shared::{Command, Operation};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::client::Client;
use crate::observer::Observer;
use crate::settings::Settings;
use crate::worker::{Job, Worker};

/// So many commands of each kind may wait for one store: what a thousand callbacks a second are in four seconds, in about
/// 4 MiB. What is more is not asked, or is lost.
pub const MOST_WAITING: usize = 4096;

/// The question was not asked: the store has failed too often lately, or too many wait already. The same as
/// [`Answer::Unavailable`], at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAsked;

/// A shared store, as one holder sees it. The last holder's end is the end of its thread: what is queued is sent before, for
/// at most the time-out.
pub struct Store {
    client: Arc<Client>,
    engine: Arc<Engine>,
}

/// One thread and what leads to it.
struct Engine {
    settings: Settings,
    /// The process that has the thread.
    process: u32,
    worker: Arc<Worker>,
    jobs: Option<UnboundedSender<Job>>,
    places: [Arc<Semaphore>; Operation::ALL.len()],
    thread: Option<JoinHandle<()>>,
}

/// Every engine of this process, as long as somebody holds it.
static ENGINES: Mutex<Vec<Weak<Engine>>> = Mutex::new(Vec::new());

impl Store {
    /// Joins this process's thread for these settings, or starts it.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(settings: &Settings, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| engine.strong_count() > 0);
        let fits = |engine: &Arc<Engine>| engine.is_here() && engine.settings == *settings;
        let engine = match engines.iter().filter_map(Weak::upgrade).find(fits) {
            Some(engine) => engine,
            None => {
                let engine = Arc::new(Engine::start(settings)?);
                engines.push(Arc::downgrade(&engine));
                engine
            }
        };
        drop(engines);
        let client = Arc::new(Client::new(observer));
        engine.worker.join(&client);
        Ok(Self { client, engine })
    }

    /// Asks for a reservation. Its answer is [taken](Self::take) with `ticket`; it comes within the time-out.
    ///
    /// # Errors
    /// [`NotAsked`]; then no answer comes.
    pub fn ask(&self, ticket: u64, command: Command) -> Result<(), NotAsked> {
        self.queue(command, Some(ticket))
    }

    /// Gives it a keep or a release, which goes its own way, whatever becomes of the request.
    pub fn tell(&self, command: Command) {
        // The observer has been told if there was no place for it.
        self.queue(command, None).unwrap_or_default();
    }

    /// Takes the answers that have come, each once.
    pub fn take(&self, mut each: impl FnMut(u64, Answer)) {
        self.client.take().into_iter().for_each(|(ticket, answer)| each(ticket, answer));
    }

    fn queue(&self, command: Command, ticket: Option<u64>) -> Result<(), NotAsked> {
        let operation = command.operation;
        let queued = self.engine.queue(&self.client, command, ticket);
        queued.map_err(|outcome| {
            self.client.called(operation, outcome, Duration::ZERO);
            NotAsked
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.client.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("settings", &self.engine.settings).finish_non_exhaustive()
    }
}

impl Engine {
    fn start(settings: &Settings) -> io::Result<Self> {
        let target = settings.target().map_err(io::Error::other)?;
        let worker = Arc::new(Worker::new(target, settings.timeout()));
        let (jobs, queue) = unbounded_channel();
        let thread = crate::thread::start(Arc::clone(&worker), queue)?;
        Ok(Self {
            settings: settings.clone(),
            process: process::id(),
            worker,
            jobs: Some(jobs),
            places: Operation::ALL.map(|_| Arc::new(Semaphore::new(MOST_WAITING))),
            thread: Some(thread),
        })
    }

    /// Whether the thread is in this process, and not in the one that this was forked from.
    fn is_here(&self) -> bool {
        self.process == process::id()
    }

    fn queue(&self, client: &Arc<Client>, command: Command, ticket: Option<u64>) -> Result<(), Outcome> {
        if !self.is_here() {
            return Err(Outcome::NotAsked);
        }
        let given = Instant::now();
        let operation = Operation::ALL.iter().position(|operation| *operation == command.operation);
        let places = operation.and_then(|operation| self.places.get(operation));
        let place = places.and_then(|places| Arc::clone(places).try_acquire_owned().ok()).ok_or(Outcome::QueueFull)?;
        // What is told waits for better times by itself.
        if ticket.is_some() && !self.worker.may_ask() {
            return Err(Outcome::NotAsked);
        }
        let (outcome, answer) = (Outcome::TimedOut, Answer::Unavailable);
        let job = Job { command, ticket, client: Arc::clone(client), given, _place: place, outcome, answer };
        if let Some(jobs) = &self.jobs {
            // What finds no thread ends here, and so is answered.
            jobs.send(job).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let (jobs, thread) = (self.jobs.take(), self.thread.take());
        if !self.is_here() {
            // Both belong to the other process, and so does whatever they would wake.
            mem::forget((jobs, thread));
            return;
        }
        drop(jobs);
        // An observer may hold the last one, on that very thread.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            thread.join().unwrap_or_default();
        }
    }
}
