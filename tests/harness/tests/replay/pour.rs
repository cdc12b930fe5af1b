//! A sender that costs little: rendered requests, plain threads, blocking sockets.
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::wire::Glance;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

/// Threads that send.
const THREADS: usize = 2;

/// Connections of a thread that are kept alive, each with one request at a time.
const KEPT: usize = 8;

/// A request as it goes over the wire.
pub(crate) type Request = Vec<u8>;

/// Callbacks with their requests.
pub(crate) fn render(count: usize) -> Vec<(Callback, Request)> {
    let one = || {
        let callback = Callback::new();
        let request = callback.wire();
        (callback, request)
    };
    let share = count.div_ceil(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| (0..share).map(|_| one()).collect::<Vec<_>>())).collect();
        let mut all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("a signer")).collect();
        all.truncate(count);
        all
    })
}

/// Sends every request over connections that are kept alive, and returns the statuses in the order of the requests.
pub(crate) fn pour(address: SocketAddr, requests: &[&[u8]]) -> Result<Vec<u16>> {
    let share = requests.len().div_ceil(THREADS).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> =
            requests.chunks(share).map(|requests| scope.spawn(move || pour_some(address, requests))).collect();
        let mut statuses = Vec::with_capacity(requests.len());
        for thread in threads {
            statuses.extend(thread.join().expect("a sender")?);
        }
        Ok(statuses)
    })
}

fn pour_some(address: SocketAddr, requests: &[&[u8]]) -> Result<Vec<u16>> {
    let mut lines = (0..KEPT).map(|_| Line::open(address)).collect::<Result<Vec<_>>>()?;
    let mut statuses = Vec::with_capacity(requests.len());
    for batch in requests.chunks(KEPT) {
        for (line, request) in lines.iter_mut().zip(batch) {
            line.stream.write_all(request)?;
        }
        for (line, _) in lines.iter_mut().zip(batch) {
            statuses.push(line.status()?);
        }
    }
    Ok(statuses)
}

/// Sends one request `copies` times at once, each over a new connection, and returns the statuses.
pub(crate) fn at_once(address: SocketAddr, request: &[u8], copies: usize) -> Result<Vec<u16>> {
    const SENDERS: usize = 4;
    let connected = Barrier::new(SENDERS);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (connected, share) = (&connected, (sender..copies).step_by(SENDERS).count());
                scope.spawn(move || {
                    let lines = (0..share).map(|_| Line::open(address)).collect::<Result<Vec<_>>>();
                    connected.wait();
                    let mut lines = lines?;
                    for line in &mut lines {
                        line.stream.write_all(request)?;
                    }
                    lines.iter_mut().map(Line::status).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut statuses = Vec::with_capacity(copies);
        for thread in threads {
            statuses.extend(thread.join().expect("a sender")?);
        }
        Ok(statuses)
    })
}

/// One connection.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        Ok(Self { stream, buffer: Vec::with_capacity(2048) })
    }

    /// Reads one reply with a length, and nothing behind it.
    fn status(&mut self) -> Result<u16> {
        self.buffer.clear();
        let mut piece = [0; 2048];
        loop {
            let read = self.stream.read(&mut piece).context("reading the reply")?;
            ensure!(read > 0, "the connection was closed instead of a reply");
            self.buffer.extend_from_slice(&piece[..read]);
            if let Some(reply) = Glance::at(&self.buffer)? {
                return Ok(reply.status);
            }
        }
    }
}
