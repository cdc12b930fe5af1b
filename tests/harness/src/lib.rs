//! Starts real Envoy and real Nginx on loopback with the filter in them, sends them real bytes, and keeps every byte
//! that reaches the application behind them.
//!
//! The order of use: [`tools`] says where the programs are, [`upstream`] is the application, [`proxy`] runs one Envoy
//! or Nginx, [`send`] talks to it, over TLS with [`certificates`] made on the spot where a test asks for it.
//!
//! What every suite has alike: [`suite`] names and runs tests, [`lazy`] shares a proxy among them, [`running`] starts one
//! and its application, [`callback`] makes what is sent and [`people`] who sends it, [`clock`] tells the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

pub mod callback;
pub mod cases;
pub mod certificates;
pub mod clock;
pub mod ids;
pub mod lazy;
pub mod memory;
pub mod people;
pub mod proxy;
pub mod running;
pub mod runtime;
pub mod send;
pub mod suite;
pub mod tools;
pub mod upstream;
pub mod wire;
