//! What nginx calls: every function here has C's calling convention, turns pointers into safe values, and lets no panic
//! out. A panic costs its request a 503, or a 500 where it is no callback, and leaves a line in the log; the worker lives on.

mod checks;
pub(crate) mod configuration;
pub(crate) mod filters;
mod request;
pub(crate) mod shared_store;

use core::panic::AssertUnwindSafe;
use std::boxed::Box;
use std::io::Write;
use std::panic::catch_unwind;

use ngx::core::Status;
use ngx::ffi::{NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_SERVICE_UNAVAILABLE, NGX_LOG_ERR, ngx_int_t};

use crate::host::request::Request;
use secure_callbacks::fault;

/// Has panics logged only by their place in the code. The standard error is nginx's error log.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        // Without a standard error there is nowhere to say it.
        let _ = writeln!(std::io::stderr(), "{}", fault::line(info.location()));
    }));
}

/// How a request is answered that a fault of ours keeps from being checked.
const UNAVAILABLE: u16 = NGX_HTTP_SERVICE_UNAVAILABLE as u16;

const FAILED: Status = Status(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t);

/// Runs `work` on a request; if it panics, says so in the log and gives `None`.
fn guarded<'r, T>(request: Request<'r>, work: impl FnOnce(Request<'r>) -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(|| work(request))).ok();
    if result.is_none() {
        // Where it was stands in the line before, of the hook for panics.
        request.log(NGX_LOG_ERR, format_args!("secure_callbacks: a fault inside the module"));
    }
    result
}
