//! What is called of Envoy (its dynamic-module ABI, `source/extensions/dynamic_modules/abi/abi.h`, versions 1.38 to
//! 1.40), made safe. Only what is used is declared.
//!
//! What Envoy lends of a request is good until the hook that got it returns, or until the request's fields change. So a
//! [`Stream`] is made in a hook and gone with it, and what reads it borrows it from what changes it.

mod calls;
mod configuration;
mod stream;

use std::ffi::CStr;

pub(crate) use calls::{AttributeId, Body, Bytes, Envoys, Fields, LogLevel, MetricId};
pub(crate) use configuration::{Configuration, Scheduler};
pub(crate) use stream::{Recall, Stream};

use calls::{change_without_request, envoy_log, envoy_log_enabled, optional};

/// The version of the ABI that this Envoy expects; another one is a warning in its log.
pub(crate) fn version() -> &'static CStr {
    // It came with 1.40, and so did the version.
    let newer = optional(c"envoy_dynamic_module_callback_get_runtime_bool");
    if newer.is_null() { c"v0.1.0" } else { c"v0.2.0" }
}

/// Whether Envoy only reads its configuration (`--mode validate`).
pub(crate) fn only_validates() -> bool {
    calls::is_validation()
}

/// Writes a line to Envoy's log.
pub(crate) fn log(level: LogLevel, line: &str) {
    // SAFETY: the line outlives the call, and Envoy keeps no pointer to it.
    unsafe { envoy_log(level, Bytes::lent(line.as_bytes())) }
}

/// Whether Envoy writes lines of this level now.
pub(crate) fn log_enabled(level: LogLevel) -> bool {
    envoy_log_enabled(level)
}

/// Whether this Envoy is 1.39 or later: metrics change without a request, and the attribute `response.code_details` is
/// there.
pub(crate) fn is_1_39() -> bool {
    change_without_request().is_some()
}
