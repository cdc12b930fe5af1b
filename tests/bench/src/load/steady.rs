//! At a constant rate, however slow the answers are: each callback is due at its own time, and its latency counts from
//! then, so waiting for a free connection counts too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::http1;
use super::requests::Callback;

/// Callbacks that can be under way at once. Each has a thread: a sleeping thread wakes far more punctually than a timer
/// of an asynchronous runtime, which counts in milliseconds.
const SENDERS: usize = 16;

/// Time for the threads to connect before the first callback is due.
const LEAD: Duration = Duration::from_millis(30);

/// The latencies of all `callbacks`, sent at `rate` per second, each to be answered with 200.
pub(crate) fn send(address: SocketAddr, callbacks: &[Callback], rate: f64) -> Result<Vec<Duration>> {
    let next = AtomicUsize::new(0);
    let start = Instant::now() + LEAD;
    std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..SENDERS).map(|_| scope.spawn(|| sender(address, callbacks, rate, start, &next))).collect();
        let mut latencies = Vec::with_capacity(callbacks.len());
        for sender in senders {
            match sender.join() {
                Ok(some) => latencies.extend(some?),
                Err(_) => bail!("a sender stopped"),
            }
        }
        Ok(latencies)
    })
}

fn sender(
    address: SocketAddr,
    callbacks: &[Callback],
    rate: f64,
    start: Instant,
    next: &AtomicUsize,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(callback) = callbacks.get(index) else { return Ok(latencies) };
        let due = start + Duration::from_secs_f64(index as f64 / rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&callback.wire)?;
        stream.write_all(&callback.rest)?;
        let mut filled = 0;
        let reply = loop {
            let free = buffer.get_mut(filled..).context("a reply that is too long")?;
            let read = stream.read(free)?;
            ensure!(read > 0, "the connection was closed instead of a reply");
            filled += read;
            if let Some((reply, _)) = http1::parse(buffer.get(..filled).unwrap_or_default())? {
                break reply;
            }
        };
        latencies.push(due.elapsed());
        ensure!(reply.status == 200, "{} instead of 200", reply.status);
        ensure!(!reply.closes, "the connection was not kept");
    }
}
