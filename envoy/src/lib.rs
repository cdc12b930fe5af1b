//! The Envoy filter: Vonage secure callbacks, verified in a proxy-wasm module.
//!
//! - [`configuration`]: the plugin's configuration, as it arrives, into a policy.
//! - [`protection`]: one configured policy with what it needs while it serves: its replay store and its metrics.
//! - [`filter`]: the life of one request, above the [`Host`](filter::Host) trait.
//! - [`replay`]: the replay store in Envoy's shared data.
//! - [`shared_data`]: shared data, above the [`SharedData`](shared_data::SharedData) trait.
//! - [`metrics`]: the names of the metrics, and how Envoy makes Prometheus labels of them.
//! - [`native_hash`]: SHA-256 by Envoy itself, for bodies that are worth the call.
//! - [`pairs`]: header maps, as they cross the border of the sandbox.
//!
//! Only `host` calls Envoy, and only `plugin` is called by it; both exist in the sandbox alone. All the rest builds and
//! is tested natively.

pub mod configuration;
pub mod filter;
#[cfg(target_arch = "wasm32")]
mod host;
pub mod metrics;
pub mod native_hash;
pub mod pairs;
#[cfg(target_arch = "wasm32")]
mod plugin;
pub mod protection;
pub mod replay;
pub mod shared_data;
