//! As fast as it goes: a fixed number of connections, each with one callback under way at any time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use secure_callbacks_harness::send::tls::Client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::http1;
use super::http2;
use super::requests::Callback;

/// Callbacks under way at once.
pub(crate) const CONNECTIONS: usize = 16;

/// Requests of HTTP/2 share connections.
const STREAMS: usize = 8;

/// Callbacks that open and warm the connections, before anything is counted.
pub(crate) const WARM_UP: usize = CONNECTIONS;

/// Where to send, and how.
#[derive(Clone)]
pub(crate) enum Target {
    Http1(SocketAddr),
    Http2(SocketAddr),
    /// HTTP/1.1 over TLS, with the client's certificate.
    Tls(SocketAddr, Rc<Client>),
}

/// Sends all `callbacks`, the first [`WARM_UP`] of them before `begin` is called; what `begin` said, and the time that
/// the rest took. Every reply must have this status.
pub(crate) async fn send<B>(
    target: &Target,
    callbacks: Vec<Callback>,
    status: u16,
    begin: impl FnOnce() -> Result<B>,
) -> Result<(B, Duration)> {
    let shared = Rc::new(Shared { callbacks, next: Cell::new(WARM_UP), status });
    let mut senders = Vec::new();
    let mut http2 = None;
    for index in 0..WARM_UP {
        let mut sender = match target {
            Target::Http2(address) => {
                if index % STREAMS == 0 {
                    http2 = Some(http2::Connection::open(*address).await?);
                }
                let Some(connection) = http2.clone() else { continue };
                Sender::Http2(connection)
            }
            target => Sender::open(target).await?,
        };
        if let Some(callback) = shared.callbacks.get(index) {
            sender.exchange(target, callback, status).await?;
        }
        senders.push(sender);
    }
    let began = begin()?;
    let start = Instant::now();
    let tasks = LocalSet::new();
    let running: Vec<_> = senders
        .into_iter()
        .map(|mut sender| {
            let (shared, target) = (Rc::clone(&shared), target.clone());
            tasks.spawn_local(async move {
                while let Some(callback) = shared.take() {
                    sender.exchange(&target, callback, shared.status).await?;
                }
                anyhow::Ok(sender)
            })
        })
        .collect();
    // Kept until the time is taken: closing is not part of it.
    let mut senders = Vec::new();
    tasks
        .run_until(async {
            for task in running {
                senders.push(task.await??);
            }
            anyhow::Ok(())
        })
        .await?;
    Ok((began, start.elapsed()))
}

struct Shared {
    callbacks: Vec<Callback>,
    next: Cell<usize>,
    status: u16,
}

impl Shared {
    fn take(&self) -> Option<&Callback> {
        let index = self.next.get();
        self.next.set(index + 1);
        self.callbacks.get(index)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

enum Sender {
    Http1(http1::Connection<Box<dyn Stream>>),
    Http2(http2::Connection),
}

impl Sender {
    async fn open(target: &Target) -> Result<Self> {
        let stream: Box<dyn Stream> = match target {
            Target::Http1(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Target::Tls(address, client) => Box::new(client.open(*address, b"http/1.1").await?.stream),
            Target::Http2(address) => return Ok(Self::Http2(http2::Connection::open(*address).await?)),
        };
        Ok(Self::Http1(http1::Connection::over(stream)))
    }

    async fn exchange(&mut self, target: &Target, callback: &Callback, expected: u16) -> Result<()> {
        let (status, closes) = match self {
            Self::Http1(connection) => {
                let reply = connection.exchange(callback).await?;
                (reply.status, reply.closes)
            }
            Self::Http2(connection) => (connection.exchange(callback).await?, false),
        };
        ensure!(status == expected, "{status} instead of {expected}");
        if closes {
            *self = Self::open(target).await?;
        }
        Ok(())
    }
}
