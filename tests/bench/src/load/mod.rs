//! The sender: callbacks signed in advance, and three ways to send them.

pub(crate) mod full_speed;
pub(crate) mod http1;
mod http2;
pub(crate) mod requests;
pub(crate) mod steady;
