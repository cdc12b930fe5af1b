//! The application behind the proxy: it keeps what it receives, and answers as the test told it to.
//!
//! Every byte is looked through for ids (see [`crate::ids`]) before anything is parsed, so that half a head counts as
//! much as a whole request when the question is whether anything of a refused callback came through.
use crate::wire::{BodyReader, Fields, RequestHead};
use crate::{clock, ids};
use bytes::BytesMut;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

mod answer;

pub use answer::{Answer, Delivery, Gate};

/// Bodies kept at most; beyond it the oldest requests are forgotten (their ids and counts are not).
const KEPT_BYTES: usize = 256 * 1024 * 1024;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST` and so on.
    pub method: String,
    /// The request target.
    pub path: String,
    /// Every header field, every copy.
    pub headers: Fields,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// The trailers of a chunked body.
    pub trailers: Fields,
}

/// What came in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted.
    pub connections: usize,
    /// Bytes received.
    pub bytes: usize,
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
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    lock(&state).totals.connections += 1;
    let mut connection = Connection { buffer: BytesMut::new(), scanned: Vec::new(), reading: None };
    let _ = stream.set_nodelay(true);
    loop {
        match connection.next_request(&mut stream, &state).await {
            Ok(Some((id, received))) => {
                let answer = lock(&state).record(id.clone(), received);
                // Counted just before it goes out: who has the answer finds it counted.
                let count = || {
                    if let (Some(id), true) = (id, answer.status < 500) {
                        *lock(&state).answered.entry(id).or_default() += 1;
                    }
                };
                if !answer::reply(&mut stream, &answer, count).await {
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

struct Connection {
    buffer: BytesMut,
    /// The end of what was looked through, so that an id cut by a read is found too.
    scanned: Vec<u8>,
    reading: Option<(RequestHead, BodyReader)>,
}

impl Connection {
    /// The next whole request, `None` at a clean end.
    async fn next_request(
        &mut self,
        stream: &mut TcpStream,
        state: &Mutex<State>,
    ) -> anyhow::Result<Option<(Option<String>, Received)>> {
        loop {
            if let Some(received) = self.take_request(stream).await? {
                let in_path = ids::find(received.path.as_bytes()).next().map(str::to_owned);
                let in_headers =
                    || received.headers.0.iter().find_map(|(_, value)| ids::find(value).next().map(str::to_owned));
                return Ok(Some((in_path.or_else(in_headers), received)));
            }
            let before = self.buffer.len();
            let read = stream.read_buf(&mut self.buffer).await?;
            if read == 0 {
                anyhow::ensure!(before == 0 && self.reading.is_none(), "the connection ended inside a request");
                return Ok(None);
            }
            let arrived = self.buffer[before..].to_vec();
            self.scan(&arrived, state);
        }
    }

    fn scan(&mut self, arrived: &[u8], state: &Mutex<State>) {
        self.scanned.extend_from_slice(arrived);
        let mut state = lock(state);
        state.totals.bytes += arrived.len();
        for id in ids::find(&self.scanned) {
            if !state.seen.contains(id) {
                state.seen.insert(id.to_owned());
            }
        }
        let done = self.scanned.len().saturating_sub(ids::LENGTH - 1);
        self.scanned.drain(..done);
    }

    async fn take_request(&mut self, stream: &mut TcpStream) -> anyhow::Result<Option<Received>> {
        if self.reading.is_none() {
            let Some(head) = RequestHead::take(&mut self.buffer)? else { return Ok(None) };
            if head.headers.first("expect").is_some() {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            let body = BodyReader::of_request(&head.headers)?;
            self.reading = Some((head, body));
        }
        let whole = match &mut self.reading {
            Some((_, body)) => body.take(&mut self.buffer)?,
            None => false,
        };
        if !whole {
            return Ok(None);
        }
        Ok(self.reading.take().map(|(head, body)| Received {
            method: head.method,
            path: head.path,
            headers: head.headers,
            body: body.body,
            trailers: body.trailers,
        }))
    }
}
