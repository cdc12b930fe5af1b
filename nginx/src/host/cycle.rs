//! A configuration that has been read to its end (`ngx_cycle_t`), and the error logs in it.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ngx::ffi::{
    NGX_LOG_WARN, ngx_cycle, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_module, ngx_log_t,
};
use ngx::ngx_log_error;

use super::conf::Place;

/// A configuration that is about to be in force.
#[derive(Clone, Copy)]
pub(crate) struct Cycle<'c>(NonNull<ngx_cycle_t>, PhantomData<&'c ngx_cycle_t>);

impl<'c> Cycle<'c> {
    /// # Safety
    /// `cycle` is null or nginx's, and valid for as long as `'c`.
    pub(crate) unsafe fn from_raw(cycle: *mut ngx_cycle_t) -> Option<Self> {
        NonNull::new(cycle).map(|cycle| Self(cycle, PhantomData))
    }

    /// What is configured in `http`; `None` without such a block.
    pub(crate) fn http(self) -> Option<&'c ngx_http_conf_ctx_t> {
        // SAFETY: the configuration is valid and has a place for each module. Nginx numbers its modules before it reads a
        // configuration, and not afterwards.
        unsafe {
            let index = (*ptr::addr_of!(ngx_http_module)).index;
            (*self.0.as_ref().conf_ctx.add(index)).cast::<ngx_http_conf_ctx_t>().as_ref()
        }
    }

    /// Says what is doubtful, where nginx says such things while it reads: in the log of the configuration before, which
    /// is the terminal when there is none.
    pub(crate) fn warn(self, place: &Place, problem: fmt::Arguments<'_>) {
        // SAFETY: the configuration is valid, and the one before it still is, too, with its log.
        unsafe {
            if let Some(before) = self.0.as_ref().old_cycle.as_ref() {
                ngx_log_error!(NGX_LOG_WARN, before.log, "{problem} in {place}");
            }
        }
    }
}

impl Cycle<'_> {
    /// Writes to its log, at one of nginx's levels.
    pub(crate) fn log(self, level: u32, line: fmt::Arguments<'_>) {
        // SAFETY: the configuration is valid, and has a log.
        ngx_log_error!(level, unsafe { self.0.as_ref() }.log, "{line}");
    }

    /// Writes to the log of the configuration in force, on nginx's thread.
    pub(crate) fn current_log(level: u32, line: fmt::Arguments<'_>) {
        // SAFETY: `ngx_cycle` is the configuration in force.
        if let Some(cycle) = NonNull::new(unsafe { ngx_cycle }) {
            Cycle(cycle, PhantomData).log(level, line);
        }
    }
}

/// The error log of a location. It is known while the location is read; its level may come later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorLog(NonNull<ngx_log_t>);

impl ErrorLog {
    /// The log of a location that nginx's core has merged.
    pub(crate) fn of(location: &ngx_http_core_loc_conf_t) -> Option<Self> {
        NonNull::new(location.error_log).map(Self)
    }

    /// Whether it leaves out lines of level `warn`. `_` is what it is a part of, read to its end.
    pub(crate) fn hides_warnings(self, _: Cycle<'_>) -> bool {
        // SAFETY: it lives as long as the configuration. Of several logs nginx has the most talkative first.
        unsafe { self.0.as_ref() }.log_level < NGX_LOG_WARN as usize
    }
}
