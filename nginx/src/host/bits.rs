//! Nginx's bit fields, which `bits.c` reads and writes: no accessor that the bindings generate is used, here or in what
//! is called of the crate `ngx`. (`clippy.toml` names those that would be.)

use core::ffi::c_int;

use ngx::ffi::{ngx_buf_t, ngx_http_core_loc_conf_t, ngx_http_request_t, ngx_http_variable_value_t};

// All take pointers to valid structures of nginx's.
unsafe extern "C" {
    fn secure_callbacks_header_only(r: *const ngx_http_request_t) -> c_int;
    fn secure_callbacks_follows_error_page(r: *const ngx_http_request_t) -> c_int;
    fn secure_callbacks_set_expect_tested(r: *mut ngx_http_request_t);
    fn secure_callbacks_end_keepalive(r: *mut ngx_http_request_t);
    fn secure_callbacks_read_body_into_file(r: *mut ngx_http_request_t);
    fn secure_callbacks_buf_kind(b: *const ngx_buf_t) -> c_int;
    fn secure_callbacks_set_last(b: *mut ngx_buf_t, last: c_int);
    fn secure_callbacks_noname(conf: *const ngx_http_core_loc_conf_t) -> c_int;
    fn secure_callbacks_set_variable(v: *mut ngx_http_variable_value_t, data: *mut u8, len: usize);
    fn secure_callbacks_set_not_found(v: *mut ngx_http_variable_value_t);
}

/// Where a buffer's bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    /// From `pos` to `last`.
    Memory,
    /// In `file`.
    File,
    /// Nowhere: it only says something, that it is the last one for example.
    None,
    /// In no way known here.
    Unknown,
}

pub(super) fn bytes_of(buf: &ngx_buf_t) -> Bytes {
    // SAFETY: the buffer is valid.
    match unsafe { secure_callbacks_buf_kind(buf) } {
        1 => Bytes::Memory,
        2 => Bytes::File,
        3 => Bytes::None,
        _ => Bytes::Unknown,
    }
}

/// Makes a buffer its chain's last, and the answer's.
///
/// # Safety
/// `buf` is a buffer of ours.
pub(super) unsafe fn set_last(buf: *mut ngx_buf_t, of_answer: bool) {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_set_last(buf, of_answer.into()) };
}

/// Whether the answer has a head only.
///
/// # Safety
/// `r` is a request that lives, as for all that follow.
pub(super) unsafe fn header_only(r: *const ngx_http_request_t) -> bool {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_header_only(r) != 0 }
}

/// Whether nginx would follow an `error_page` now.
///
/// # Safety
/// As for [`header_only`].
pub(super) unsafe fn follows_error_page(r: *const ngx_http_request_t) -> bool {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_follows_error_page(r) != 0 }
}

/// Keeps nginx from sending `100 Continue`.
///
/// # Safety
/// As for [`header_only`].
pub(super) unsafe fn set_expect_tested(r: *mut ngx_http_request_t) {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_set_expect_tested(r) };
}

/// Has nginx close the connection after this request.
///
/// # Safety
/// As for [`header_only`].
pub(super) unsafe fn end_keepalive(r: *mut ngx_http_request_t) {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_end_keepalive(r) };
}

/// Has nginx read the body into a file, which goes with the request unless a handler takes it.
///
/// # Safety
/// As for [`header_only`].
pub(super) unsafe fn read_body_into_file(r: *mut ngx_http_request_t) {
    // SAFETY: as the caller vouches.
    unsafe { secure_callbacks_read_body_into_file(r) };
}

/// Whether a block has no name of its own: `if` and `limit_except`.
pub(crate) fn has_no_name(conf: &ngx_http_core_loc_conf_t) -> bool {
    // SAFETY: the configuration is valid.
    unsafe { secure_callbacks_noname(conf) != 0 }
}

/// Gives a variable its value, for this one use; `None`: it has none. The text lives as long as the request.
pub(crate) fn set_variable(variable: &mut ngx_http_variable_value_t, text: Option<&str>) {
    // SAFETY: the variable is valid, and nginx does not write to its text.
    unsafe {
        match text {
            Some(text) => secure_callbacks_set_variable(variable, text.as_ptr().cast_mut(), text.len()),
            None => secure_callbacks_set_not_found(variable),
        }
    }
}
