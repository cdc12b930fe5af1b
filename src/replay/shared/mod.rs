//! A store that all proxies of a fleet ask: what it is asked, in its own words, and what its answers mean. Nothing here
//! sends anything; a host does, and tells the [`Circuit`] what came of it.

mod circuit;
mod protocol;

pub use circuit::{Change, Circuit};
pub use protocol::{Command, Operation, Protocol};
