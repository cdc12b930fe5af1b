//! At a constant rate, however slow the answers are: each callback is due at its own time, and its latency counts from
//! then, so waiting for a free connection counts too.
//!
//! One thread sends all and hears all. It shares a core with the application behind the proxy; a thread for each
//! connection would have the two of them wait for one another, and that would be most of what is measured.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use secure_callbacks_harness::wire::Glance;

use super::requests::Callback;

/// Callbacks that can be under way at once.
const CONNECTIONS: usize = 16;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The latencies of all `callbacks`, sent at `rate` per second, each to be answered with 200.
pub(crate) fn send(address: SocketAddr, callbacks: &[Callback], rate: f64) -> Result<Vec<Duration>> {
    let mut free = (0..CONNECTIONS).map(|_| Connection::open(address)).collect::<Result<VecDeque<_>>>()?;
    let mut busy = Vec::with_capacity(CONNECTIONS);
    let mut latencies = Vec::with_capacity(callbacks.len());
    let start = Instant::now();
    let mut queue = callbacks.iter().enumerate().peekable();
    loop {
        let mut next = None;
        while let Some((index, callback)) = queue.peek() {
            let due = start + Duration::from_secs_f64(*index as f64 / rate);
            if due > Instant::now() {
                next = Some(due);
                break;
            }
            let Some(mut connection) = free.pop_front() else { break };
            connection.send(callback, due)?;
            busy.push(connection);
            queue.next();
        }
        if busy.is_empty() && next.is_none() {
            return Ok(latencies);
        }
        let wait = next.map_or(PATIENCE, |due| due.saturating_duration_since(Instant::now()));
        let heard = heard(&busy, wait)?;
        ensure!(next.is_some() || heard.contains(&true), "no answer within {PATIENCE:?}");
        // From the last on, because those that are done leave the list.
        for index in (0..heard.len()).rev().filter(|index| heard.get(*index) == Some(&true)) {
            if let Some(latency) = busy.get_mut(index).map(Connection::hear).transpose()?.flatten() {
                latencies.push(latency);
                free.push_back(busy.swap_remove(index));
            }
        }
    }
}

/// On which of the connections there is something to read, after waiting for one at most this long.
fn heard(busy: &[Connection], wait: Duration) -> Result<Vec<bool>> {
    let mut descriptors: Vec<_> =
        busy.iter().map(|connection| PollFd::new(&connection.stream, PollFlags::IN)).collect();
    poll(&mut descriptors, Some(&Timespec::try_from(wait)?))?;
    Ok(descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect())
}

struct Connection {
    stream: TcpStream,
    /// When the callback under way was due.
    due: Instant,
    reply: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, due: Instant::now(), reply: Vec::with_capacity(4 * 1024) })
    }

    fn send(&mut self, callback: &Callback, due: Instant) -> Result<()> {
        self.due = due;
        // It is smaller than a socket's buffer, which is empty: the connection was free.
        self.stream.write_all(&callback.wire).context("sending")?;
        ensure!(callback.rest.is_empty(), "a body that does not go in one write");
        Ok(())
    }

    /// Reads what is there; the latency, once the reply is there whole.
    fn hear(&mut self) -> Result<Option<Duration>> {
        let mut piece = [0; 4 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => anyhow::bail!("the connection was closed instead of a reply"),
            Ok(read) => self.reply.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("reading the reply"),
        }
        let Some(reply) = Glance::at(&self.reply)? else { return Ok(None) };
        let latency = self.due.elapsed();
        ensure!(reply.status == 200, "{} instead of 200", reply.status);
        ensure!(!reply.closes, "the connection was not kept");
        self.reply.clear();
        Ok(Some(latency))
    }
}
