//! A worker's way to hear from another thread: nginx's event loop watches an eventfd (`wake.c`).

use core::ffi::c_int;
use core::time::Duration;
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;

use ngx::ffi::{ngx_cycle_t, ngx_http_request_t, ngx_msec_t};

unsafe extern "C" {
    fn secure_callbacks_wake_open(cycle: *mut ngx_cycle_t, tell: extern "C" fn()) -> c_int;
    safe fn secure_callbacks_wake_within(time: ngx_msec_t);
    safe fn secure_callbacks_wake_no_more();
    safe fn secure_callbacks_wake_close();
    fn secure_callbacks_hold(r: *mut ngx_http_request_t);
    fn secure_callbacks_resume(r: *mut ngx_http_request_t);
}

/// What another thread wakes the event loop with.
#[derive(Debug)]
pub(crate) struct Bell(File);

impl Bell {
    /// Has `tell` called in the event loop whenever it rings; `None`: nginx has no room for it.
    ///
    /// # Safety
    /// `cycle` is the worker's, in its `init_process`, and there is no other bell.
    pub(crate) unsafe fn hang(cycle: *mut ngx_cycle_t, tell: extern "C" fn()) -> Option<Self> {
        // SAFETY: as the caller vouches.
        let bell = unsafe { secure_callbacks_wake_open(cycle, tell) };
        // SAFETY: the descriptor is open, and nobody else's.
        (bell >= 0).then(|| Self(unsafe { File::from_raw_fd(bell) }))
    }

    /// Wakes the event loop, from any thread.
    pub(crate) fn ring(&self) {
        // A counter that is full has not been heard yet, and will be.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }
}

/// Has it called within this time at the latest.
pub(crate) fn within(time: Duration) {
    secure_callbacks_wake_within(ngx_msec_t::try_from(time.as_millis()).unwrap_or(ngx_msec_t::MAX));
}

/// Nobody waits for anything.
pub(crate) fn no_more() {
    secure_callbacks_wake_no_more();
}

/// The worker ends.
pub(crate) fn close() {
    secure_callbacks_wake_close();
}

/// Nginx leaves the request alone until [`resume`].
///
/// # Safety
/// `r` is a request that lives.
pub(super) unsafe fn hold(r: *mut ngx_http_request_t) {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_hold(r) };
}

/// Lets the phases go on, outside of any event of the request's own.
///
/// # Safety
/// As for [`hold`]. The request may be gone afterwards.
pub(super) unsafe fn resume(r: *mut ngx_http_request_t) {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_resume(r) };
}
