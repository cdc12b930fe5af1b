//! A store that all proxies of a fleet ask: what it is asked, in its own words, and what its answers mean. Nothing here
//! sends anything; a host does, tells the [`Circuit`] what came of it, and counts it in a [`Tally`].

mod circuit;
mod protocol;
mod tally;

pub use circuit::{Change, Circuit};
pub use protocol::{Command, Operation, Protocol};
pub use tally::{BUCKETS, Outcome, Tally};
