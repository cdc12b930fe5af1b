//! What nginx calls for the store that a fleet shares: when a worker begins and ends, and when there are answers.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::vec::Vec;

use core::cell::RefCell;

use ngx::core::Status;
use ngx::ffi::{NGX_LOG_ERR, NGX_LOG_NOTICE, ngx_cycle_t, ngx_int_t};
use ngx::http::HttpModuleMainConf;
use secure_callbacks::Answer;

use super::checks::Checks;
use super::guarded;
use crate::access;
use crate::context::Context;
use crate::host::cycle::Cycle;
use crate::host::wake::{self, Bell};
use crate::policy::ActivePolicy;
use crate::shared_store::{look_after, waiting};

std::thread_local! {
    /// The policies of this worker that share a store.
    static SHARING: RefCell<Vec<Rc<ActivePolicy>>> = const { RefCell::new(Vec::new()) };
}

/// A worker begins: after the fork, so that the store's thread is its own.
pub(crate) unsafe extern "C" fn init_process(raw: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx hands on the worker's configuration.
    let cycle = unsafe { Cycle::from_raw(raw) };
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let main = Checks::main_conf(cycle?.http()?)?;
        let sharing: Vec<_> = main.policies.iter().filter(|policy| policy.is_shared()).map(Rc::clone).collect();
        if sharing.is_empty() {
            return Some(());
        }
        // SAFETY: this is the worker's `init_process`, and it hangs one bell.
        let bell = Arc::new(unsafe { Bell::hang(raw, tell) }?);
        let opened = sharing.iter().all(|policy| policy.open_link(&bell));
        SHARING.set(sharing);
        opened.then_some(())
    }));
    if !matches!(opened, Ok(Some(())))
        && let Some(cycle) = cycle.filter(|cycle| cycle.http().is_some())
    {
        cycle.log(
            NGX_LOG_ERR,
            format_args!("secure_callbacks: the replay store can't be asked: no thread, or no memory"),
        );
    }
    Status::NGX_OK.into()
}

/// A worker ends: what its requests came to is still told.
pub(crate) unsafe extern "C" fn exit_process(_: *mut ngx_cycle_t) {
    let _ = catch_unwind(|| {
        for policy in SHARING.take() {
            policy.close_link();
        }
    });
    wake::close();
}

/// The store's thread has rung: there are answers, or lines for the log.
extern "C" fn tell() {
    let _ = catch_unwind(|| {
        let sharing = SHARING.with_borrow(Vec::clone);
        let mut answers = Vec::new();
        for policy in &sharing {
            policy.with_link(|link| {
                link.take(|ticket, answer| answers.push((ticket, answer)));
                for line in link.said() {
                    Cycle::current_log(NGX_LOG_NOTICE, format_args!("{line}"));
                }
            });
        }
        for (ticket, answer) in answers {
            answered(ticket, answer);
        }
        look_after();
    });
}

/// A request that waits for it goes on; one that is gone has released what it may have reserved.
fn answered(ticket: u64, answer: Answer) {
    // SAFETY: a request that is gone has taken its ticket along: its context is dropped with its pool.
    let Some(request) = waiting(ticket).map(|held| unsafe { held.request() }) else { return };
    if let Some(context) = Context::all(request).find(|context| context.waits() == Some(ticket)) {
        let work = |request| access::shared_store_answered(request, context, answer);
        if guarded(request, work).is_none() {
            guarded(request, |request| access::failed(request, context));
        }
        // Asked again, under another policy's store: not yet.
        if context.waits().is_none() {
            request.resume();
        }
    }
}
