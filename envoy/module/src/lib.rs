//! Vonage secure callbacks in Envoy without a sandbox: the dynamic module.
//!
//! - [`peer_certificate`]: the client's certificate, as Envoy can be told to hand it over.
//! - [`replay`]: what policies remember, in the process's memory, for all workers.
//! - `hooks`: what Envoy calls. It turns pointers into safe values and lets no panic out.
//! - `abi`: what is called of Envoy. These two files alone are unsafe.
//! - `plugin` and `request`: one configuration, and one request.
//! - `host`: what every host in Envoy is asked for, by this ABI's means.
//!
//! What calls Envoy is not there in tests, which are linked without it.

#[cfg(not(test))]
mod abi;
#[cfg(not(test))]
mod configuration;
#[cfg(all(feature = "faults", not(test)))]
mod faults;
#[cfg(not(test))]
mod hooks;
#[cfg(not(test))]
mod host;
#[cfg(not(test))]
mod logger;
#[cfg(not(test))]
mod metrics;
pub mod peer_certificate;
#[cfg(not(test))]
mod plugin;
pub mod replay;
#[cfg(not(test))]
mod request;
#[cfg(not(test))]
mod secrets;
#[cfg(not(test))]
mod shared_store;
#[cfg(not(test))]
mod ticker;
