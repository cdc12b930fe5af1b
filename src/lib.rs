//! Vonage secure callbacks, verified inside the proxy: the verifier core.
//!
//! The core decides; it asks for nothing. Time, bytes, secrets and storage are arguments, so that one verifier serves
//! Envoy, Nginx and the tests alike. Read it in the order of a callback's life:
//!
//! 1. [`policy`]: what was written ([`PolicyConfig`]) and what was validated ([`Policy`]).
//! 2. [`callback`]: the life of one callback, events in and steps out ([`Callback`], [`Step`]).
//! 3. [`verifier`]: the one order of checks, from the head ([`Verifier::start`]) over the body ([`Pending`]) to what is to
//!    be reserved ([`Authentic`]).
//! 4. [`code`]: every verdict once; and the [`Clearance`] that forwarding needs.
//! 5. [`settlement`](settlement()): what the answer means for the callback that was forwarded.
//! 6. [`reply`], [`record`] and [`names`]: what the caller, the application and the operator see.
#![no_std]
#![forbid(unsafe_code)]
#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

extern crate alloc;

pub mod callback;
pub mod certificate;
mod claim;
pub mod code;
mod conclusion;
pub mod fault;
pub mod identity;
mod interim;
mod lifetime;
pub mod names;
mod payload;
pub mod policy;
pub mod problem;
pub mod record;
pub mod replay;
pub mod reply;
mod secret;
mod settlement;
mod source;
pub mod time;
mod token;
pub mod verdict;
pub mod verifier;

pub use callback::{Callback, Step};
pub use certificate::{Approved, CertificateState, Connection, Fingerprint, NotGiven};
pub use claim::Claim;
pub use code::{Code, Fault, Rejection, Severity, Status};
pub use conclusion::{Clearance, Conclusion, Outcome};
pub use identity::Identity;
pub use interim::FinalStatus;
pub use payload::RequestLine;
pub use policy::{Policy, PolicyConfig};
pub use problem::PolicyError;
pub use replay::{Answer, ReplayStore, Reservation, Settled};
pub use reply::Reply;
pub use secret::{Secret, SecretProblem, SecretSource};
pub use settlement::{AnsweredBy, Settlement, settlement};
pub use time::UnixSeconds;
pub use token::TokenField;
pub use verdict::{Refused, Verdict, Verified};
pub use verifier::{Authentic, Pending, RequestHead, Verifier};
