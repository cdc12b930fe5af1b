//! What policies remember, in the process's memory, where all workers see it.
//!
//! It belongs to a policy's name and not to a configuration: an update of the listener finds it as it was, and so does a
//! listener that comes back after it was removed.
#![forbid(unsafe_code)]

mod memory;
mod registry;
#[cfg(test)]
mod tests;

pub use memory::Share;
pub use registry::{Registry, process};
