//! What the programs of the container harness share: the application's journal, the order to send callbacks and what
//! came of it, and the certificates.
//!
//! Three programs: `app` (the upstream that records), `sender` (the client, run in a container of its own) and
//! `containers` (starts all of it with Compose, cuts, kills, restarts, and counts).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

pub mod behaviour;
pub mod certificates;
pub mod journal;
pub mod load;
pub mod replies;
pub mod tls;
