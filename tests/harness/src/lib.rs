//! Starts real Envoy and real Nginx on loopback with the filter in them, sends them real bytes, and keeps every byte
//! that reaches the application behind them.
//!
//! The order of use: [`tools`] says where the programs are, [`upstream`] is the application, [`proxy`] runs one Envoy
//! or Nginx, [`send`] talks to it, over TLS with [`certificates`] made on the spot where a test asks for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test-only code: stopping at the first surprise is what a test is for"
)]

pub mod cases;
pub mod certificates;
pub mod ids;
pub mod memory;
pub mod proxy;
pub mod runtime;
pub mod send;
pub mod tools;
pub mod upstream;
pub mod wire;
