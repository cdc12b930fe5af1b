//! What every test of this project shares: the vector tables (`tests/vectors/*.json`), the requests they describe, and
//! a signer that has no line in common with the verifier it tests.
//!
//! ```no_run
//! use secure_callbacks_support::{Host, load};
//!
//! let vectors = load().unwrap_or_else(|error| panic!("{error}"));
//! for row in &vectors.rows {
//!     let Ok(case) = row.expect_for(Host::Nginx) else { continue }; // Err: the reason for leaving the row out
//!     let sent = row.render(1_700_000_000, "some-unique-id");
//!     let expect = sent.fill(&case.expect);
//!     println!("{}: {} {} → {}", row.name, sent.method, sent.path, expect.status);
//! }
//! ```
// Only tests link this crate: a row that can't be rendered has to stop them.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod body;
mod expect;
mod nginx;
mod policy;
mod request;
#[cfg(feature = "site")]
pub mod site;
mod template;
pub mod token;
mod vectors;

pub use body::{Body, Sample, sample};
pub use expect::{Case, Expectation, Host};
pub use nginx::nginx_block;
pub use policy::{merged, policy};
pub use request::{Framing, Rendered, Request, TokenSpec};
pub use template::fill;
pub use token::Token;
pub use vectors::{Error, Row, Vectors, load, load_from};
