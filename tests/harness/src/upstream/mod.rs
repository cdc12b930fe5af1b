//! The application behind the proxy: it keeps what it receives, and answers as the test told it to.
use crate::clock;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

mod answer;
mod incoming;

pub use answer::{Answer, Delivery, Gate};
pub use incoming::{Incoming, Received};

/// Bodies kept at most; beyond it the oldest requests are forgotten (their ids and counts are not).
const KEPT_BYTES: usize = 256 * 1024 * 1024;

/// What came in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted.
    pub connections: usize,
    /// Whole requests.
    pub requests: usize,
    /// Whole requests without an id.
    pub without_id: usize,
    /// Connections that ended, or stopped making sense, in the middle of a request.
    pub broken: usize,
}

#[derive(Default)]
struct State {
    totals: Totals,
    seen: HashSet<String>,
    deliveries: HashMap<String, usize>,
    answered: HashMap<String, usize>,
    requests: HashMap<String, Vec<Arc<Received>>>,
    kept: VecDeque<(String, usize)>,
    kept_bytes: usize,
    scripts: HashMap<String, VecDeque<Answer>>,
}

impl State {
    fn record(&mut self, id: Option<String>, received: Received) -> Answer {
        self.totals.requests += 1;
        let Some(id) = id else {
            self.totals.without_id += 1;
            return Answer::status(200);
        };
        *self.deliveries.entry(id.clone()).or_default() += 1;
        self.kept_bytes += received.body.len() + 1024;
        self.kept.push_back((id.clone(), received.body.len() + 1024));
        self.requests.entry(id.clone()).or_default().push(Arc::new(received));
        while self.kept_bytes > KEPT_BYTES
            && let Some((oldest, size)) = self.kept.pop_front()
        {
            self.kept_bytes -= size;
            self.requests.remove(&oldest);
        }
        match self.scripts.get_mut(&id) {
            None => Answer::status(200),
            // The last answer stays for all later deliveries.
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap_or_else(|| Answer::status(200)),
            Some(answers) => answers.front().cloned().unwrap_or_else(|| Answer::status(200)),
        }
    }
}

/// The recording application. It stops when it is dropped.
pub struct Upstream {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    listening: AbortHandle,
}

impl Upstream {
    /// Listens on a port of the system's choice.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens at `address`.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, state, listening: listening.abort_handle() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The answers to the deliveries of `id`, in order; the last one stays.
    pub fn script(&self, id: &str, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).scripts.insert(id.to_owned(), answers.into_iter().collect());
    }

    /// Whether any byte sequence with `id` in it arrived, whole request or not.
    #[must_use]
    pub fn saw(&self, id: &str) -> bool {
        lock(&self.state).seen.contains(id)
    }

    /// Every id that arrived in any form.
    #[must_use]
    pub fn seen(&self) -> HashSet<String> {
        lock(&self.state).seen.clone()
    }

    /// How many whole requests with `id` arrived.
    #[must_use]
    pub fn deliveries(&self, id: &str) -> usize {
        lock(&self.state).deliveries.get(id).copied().unwrap_or(0)
    }

    /// Waits until `times` whole requests with `id` have arrived; false if they do not within 5 seconds.
    pub async fn arrives(&self, id: &str, times: usize) -> bool {
        clock::comes(Duration::from_secs(5), || (self.deliveries(id) >= times).then_some(())).await.is_some()
    }

    /// How many requests with `id` were answered below 500 while the proxy was still there to take the answer.
    #[must_use]
    pub fn answered(&self, id: &str) -> usize {
        lock(&self.state).answered.get(id).copied().unwrap_or(0)
    }

    /// The requests with `id`, in the order they arrived.
    #[must_use]
    pub fn requests(&self, id: &str) -> Vec<Arc<Received>> {
        lock(&self.state).requests.get(id).cloned().unwrap_or_default()
    }

    /// What came in all.
    #[must_use]
    pub fn totals(&self) -> Totals {
        lock(&self.state).totals
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection: read, look for ids, parse, answer, again.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    lock(&state).totals.connections += 1;
    let mut connection = Incoming::new(stream, |id: &str| {
        let seen = &mut lock(&state).seen;
        if !seen.contains(id) {
            seen.insert(id.to_owned());
        }
    });
    loop {
        match connection.next_request().await {
            Ok(Some(received)) => {
                let id = received.id().map(str::to_owned);
                let answer = lock(&state).record(id.clone(), received);
                // Counted just before it goes out: who has the answer finds it counted.
                let count = || {
                    if let (Some(id), true) = (id, answer.status < 500) {
                        *lock(&state).answered.entry(id).or_default() += 1;
                    }
                };
                if !answer::reply(&mut connection.stream, &answer, count).await {
                    return;
                }
            }
            Ok(None) => return,
            Err(_) => {
                lock(&state).totals.broken += 1;
                return;
            }
        }
    }
}
