//! Every second, for as long as there is any configuration: Envoy's HTTP filters have no timer.
#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::abi::Scheduler;

const PERIOD: Duration = Duration::from_secs(1);

/// A configuration that is told every second, until this is dropped.
#[derive(Debug)]
pub(crate) struct Ticking(u64);

#[derive(Default)]
struct Told {
    all: Vec<(u64, Scheduler)>,
    next: u64,
    /// Whether the thread is there.
    has_thread: bool,
}

/// Envoy has the schedulers of what it is about to stop taken out first, so none is used after it.
fn told() -> MutexGuard<'static, Told> {
    static TOLD: Mutex<Told> = Mutex::new(Told { all: Vec::new(), next: 0, has_thread: false });
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tick() {
    loop {
        thread::sleep(PERIOD);
        told().all.iter().for_each(|(_, scheduler)| scheduler.commit());
    }
}

impl Ticking {
    pub(crate) fn start(scheduler: Scheduler) -> Self {
        let mut told = told();
        if !told.has_thread {
            // Where there is none to be had the next configuration tries again.
            let started = thread::Builder::new().name("sc:ticker".into()).spawn(tick);
            told.has_thread = started.is_ok();
            if let Err(problem) = started {
                log::error!("secure_callbacks: no thread for the gauge of replay entries: {problem}");
            }
        }
        let number = told.next;
        told.next = number.wrapping_add(1);
        told.all.push((number, scheduler));
        Self(number)
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        told().all.retain(|(number, _)| *number != self.0);
    }
}
