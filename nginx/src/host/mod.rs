//! Nginx's structures behind safe functions: each file wraps one of them, and nothing outside this folder follows a
//! pointer of nginx's.
//!
//! The crate `ngx` does most of it. What is here adds to it, or replaces what it can't do safely; then it says why.

pub(crate) mod bits;
pub(crate) mod body;
mod certificate;
pub(crate) mod conf;
pub(crate) mod cycle;
pub(crate) mod headers;
mod layout;
mod list;
pub(crate) mod pool;
pub(crate) mod reply;
pub(crate) mod request;
mod validator;
pub(crate) mod wake;
pub(crate) mod zone;

/// The time that nginx has cached for this turn of its event loop, in Unix seconds.
pub(crate) fn now() -> i64 {
    ngx::ffi::ngx_time()
}
