//! Vonage secure callbacks in Envoy: what every host in it shares.
//!
//! - [`host`]: what is asked of Envoy, and what it is told to do. Each host makes these calls in its own way.
//! - [`configuration`]: what is written, read into a policy.
//! - [`protection`]: one configured policy with what it needs while it serves.
//! - [`filter`]: the life of one request, translated between Envoy and the core.
//! - `certificates`: what is known of the clients' certificates.

mod certificates;
pub mod configuration;
pub mod filter;
pub mod host;
pub mod protection;

pub use filter::Filter;
pub use host::Host;
pub use protection::Protection;
