//! Ports for proxies, which must be told theirs beforehand.
use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range that Linux hands out to outgoing connections (from 32768), so that none of those takes a port
/// between the choice and the proxy's start; between the demo's and the containers'.
const RANGE: std::ops::Range<u32> = 20_000..28_000;

/// A port that nothing listens on, and that this program has not given out lately.
pub fn free_port() -> Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let width = RANGE.end - RANGE.start;
    // Programs that run side by side start at different places.
    let start = std::process::id().wrapping_mul(997);
    for _ in 0..width {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % width;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(RANGE.start + offset)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port in {RANGE:?}")
}
