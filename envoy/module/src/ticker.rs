//! Every second, for as long as there is any configuration: Envoy's HTTP filters have no timer.
#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, Once, PoisonError};
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
}

/// Envoy has the schedulers of what it is about to stop taken out first, so none is used after it.
fn told() -> MutexGuard<'static, Told> {
    static TOLD: Mutex<Told> = Mutex::new(Told { all: Vec::new(), next: 0 });
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ticking {
    pub(crate) fn start(scheduler: Scheduler) -> Self {
        static THREAD: Once = Once::new();
        THREAD.call_once(|| {
            let started = thread::Builder::new().name("sc:ticker".into()).spawn(|| {
                loop {
                    thread::sleep(PERIOD);
                    told().all.iter().for_each(|(_, scheduler)| scheduler.commit());
                }
            });
            if let Err(problem) = started {
                log::error!("secure_callbacks: no thread for the gauge of replay entries: {problem}");
            }
        });
        let mut told = told();
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
