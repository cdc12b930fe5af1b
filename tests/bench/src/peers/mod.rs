//! The rows: what stands between the caller and the application. Each has its configuration in `tests/bench/peers`,
//! where anybody can read whether it is fair.

mod catalogue;
mod check;
mod instance;
mod site;
pub(crate) mod verifier;

pub(crate) use catalogue::{Checks, Helper, Host, Peer, catalogue, is_ours};
pub(crate) use check::check;
pub(crate) use instance::Instance;
pub(crate) use site::Site;
