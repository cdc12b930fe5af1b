//! Vonage secure callbacks, verified inside the proxy: the verifier core.
//!
//! The core decides; it asks for nothing. Time, bytes, secrets and storage are arguments, so that one verifier serves
//! Envoy, Nginx and the tests alike. Read it in the order of a callback's life:
//!
//! 1. [`policy`]: what was written ([`PolicyConfig`]) and what was validated ([`Policy`]).
//! 2. [`verifier`]: the one order of checks, from the head ([`Verifier::start`]) over the body ([`Pending`]) to the
//!    reservation ([`Authentic`]).
//! 3. [`verdict`]: the one table of codes and statuses, and the [`Verified`] that forwarding needs.
//! 4. [`settlement`](settlement()): what the answer means for the callback that was forwarded;
//!    [`FinalStatus`]: which answer it is, where interim ones go before it.
//! 5. [`reply`] and [`identity`]: what the caller and the application see.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod certificate;
pub mod fault;
pub mod identity;
mod interim;
mod payload;
pub mod policy;
pub mod replay;
pub mod reply;
mod secret;
mod settlement;
mod source;
mod token;
pub mod verdict;
pub mod verifier;

pub use certificate::{Approved, CertificateState, Connection, Fingerprint};
pub use identity::Identity;
pub use interim::FinalStatus;
pub use policy::{Policy, PolicyConfig, PolicyError};
pub use replay::{Answer, ReplayStore, Reservation};
pub use reply::Reply;
pub use secret::{Secret, SecretProblem, SecretSource};
pub use settlement::{AnsweredBy, Settlement, settlement};
pub use verdict::{Clearance, Conclusion, Fault, Outcome, Refused, Rejection, Verdict, Verified};
pub use verifier::{Authentic, Pending, RequestHead, TokenField, UnixSeconds, Verifier};
