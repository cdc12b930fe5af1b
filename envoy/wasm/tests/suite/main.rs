//! The filter without Envoy: the life of a request, the replay store and the configuration, on an Envoy in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test may stop at the first surprise.

mod answers;
mod any_order;
mod configuration;
mod connection;
mod fake;
mod filter;
mod handed_on;
mod log_line;
mod pairs;
mod refusal;
mod replay;
mod vectors;
