//! The store's thread.

use std::io;
use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, channel};
use tokio::time::timeout;

use crate::worker::{Job, Worker};

/// As the system shows it: 15 characters at most.
const NAME: &str = "callback-store";

/// After a fault of ours: it is not to fill a core.
const AFTER_A_FAULT: Duration = Duration::from_secs(1);

/// Signals that the system sends to the thread that made the fault. Whoever has a handler for them wants to see it.
const FAULTS: [libc::c_int; 7] =
    [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGSYS, libc::SIGTRAP];

/// Starts it. It ends once nothing can be queued any more.
pub(crate) fn start(worker: Arc<Worker>, jobs: UnboundedReceiver<Job>) -> io::Result<JoinHandle<()>> {
    // One further thread at most: for a name that is looked up, which the system can't do without waiting.
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).thread_name(NAME).build()?;
    without_signals(|| thread::Builder::new().name(NAME.into()).spawn(move || live(runtime, &worker, jobs)))
}

fn live(runtime: Runtime, worker: &Arc<Worker>, mut jobs: UnboundedReceiver<Job>) {
    // Whoever waited for what a panic took down has an answer already: a job that goes away answers.
    while catch_unwind(AssertUnwindSafe(|| runtime.block_on(serve(worker, &mut jobs)))).is_err() {
        thread::sleep(AFTER_A_FAULT);
    }
    runtime.shutdown_timeout(worker.timeout);
}

async fn serve(worker: &Arc<Worker>, jobs: &mut UnboundedReceiver<Job>) {
    let (working, mut all_done) = channel::<()>(1);
    let take = async move {
        while let Some(job) = jobs.recv().await {
            let turn = worker.turns.next(job.command.key());
            let (worker, working) = (Arc::clone(worker), working.clone());
            tokio::spawn(async move {
                worker.run(job, turn).await;
                drop(working);
            });
        }
        drop(working);
    };
    let keep_up = pin!(worker.link.keep_up());
    let Either::Left(((), keep_up)) = select(pin!(take), keep_up).await else { return };
    // What waits for better times has this last one.
    worker.again.notify_waiters();
    select(pin!(timeout(worker.timeout, all_done.recv())), keep_up).await;
}

/// What is started in `body` takes none of the process's signals: nginx's own thread must be woken by them.
fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::uninit();
    // SAFETY: a set is filled and changed before it is used, and the calls keep to this thread.
    let masked = unsafe {
        let mut signals = mem::zeroed();
        libc::sigfillset(&mut signals);
        for fault in FAULTS {
            libc::sigdelset(&mut signals, fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &signals, before.as_mut_ptr())
    };
    let made = body();
    if masked == 0 {
        // SAFETY: the call above has written it.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
    made
}
