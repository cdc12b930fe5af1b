//! A worker's way to hear from another thread: nginx's event loop watches an eventfd (`wake.c`).

use core::ffi::c_int;
use core::time::Duration;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

use ngx::core::Status;
use ngx::ffi::{ngx_cycle_t, ngx_http_request_t, ngx_int_t, ngx_msec_t};

unsafe extern "C" {
    fn secure_callbacks_wake_open(cycle: *mut ngx_cycle_t, fd: c_int, tell: extern "C" fn()) -> ngx_int_t;
    safe fn secure_callbacks_wake_within(time: ngx_msec_t);
    safe fn secure_callbacks_wake_no_more();
    safe fn secure_callbacks_wake_close();
    fn secure_callbacks_hold(r: *mut ngx_http_request_t);
    fn secure_callbacks_resume(r: *mut ngx_http_request_t);
}

/// Has `tell` called in the event loop whenever `bell` was written to.
///
/// # Safety
/// `cycle` is the worker's, in its `init_process`.
pub(crate) unsafe fn open(cycle: *mut ngx_cycle_t, bell: OwnedFd, tell: extern "C" fn()) -> io::Result<()> {
    // SAFETY: as the caller vouches; the descriptor is nginx's from here on.
    let opened = unsafe { secure_callbacks_wake_open(cycle, bell.into_raw_fd(), tell) };
    if opened == Status::NGX_OK.0 { Ok(()) } else { Err(io::ErrorKind::OutOfMemory.into()) }
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
