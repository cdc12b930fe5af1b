//! Callbacks without a pause while something changes: not one may be lost.
use crate::site::Site;
use anyhow::{Result, ensure};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Callbacks on their way at once.
const SENDERS: usize = 4;

/// How long the load goes on before the change, and after it.
const AROUND: Duration = Duration::from_millis(500);

/// Makes `change` while archive callbacks, signed with each of `secrets` in turn, come in. Every one must reach the
/// application; nobody tries again.
pub(crate) fn nothing_is_lost<T>(site: &Site, secrets: &[&str], change: impl FnOnce() -> Result<T>) -> Result<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| send_until(site, secrets, &stop))).collect();
        thread::sleep(AROUND);
        let changed = change();
        thread::sleep(AROUND);
        stop.store(true, Ordering::Relaxed);
        let mut sent = 0;
        for sender in senders {
            sent += sender.join().expect("a sender")?;
        }
        ensure!(sent > 100, "only {sent} callbacks in all: no load");
        changed
    })
}

fn send_until(site: &Site, secrets: &[&str], stop: &AtomicBool) -> Result<usize> {
    let mut sent = 0;
    for secret in secrets.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let status = site.status("archive", Some(secret))?;
        ensure!(status == 200, "callback {sent} of a sender was answered {status}");
        sent += 1;
    }
    Ok(sent)
}
