//! The core has no clock: a host says what time it is.

/// A moment, in seconds since 1970-01-01 UTC.
pub type UnixSeconds = i64;
