//! Vonage secure callbacks in Envoy's sandbox: the proxy-wasm filter.
//!
//! - [`configuration`]: the plugin's configuration, as it arrives, into a policy at work.
//! - [`replay`]: the replay store in Envoy's shared data.
//! - [`shared_data`]: shared data, above the [`SharedData`](shared_data::SharedData) trait.
//! - [`metrics`]: the names of the metrics, and how Envoy makes Prometheus labels of them.
//! - [`attributes`]: where Envoy has what it knows of a request.
//! - [`handed_on`]: whether Envoy hands on the bodies of held requests.
//! - [`pairs`]: header maps, as they cross the border of the sandbox.
//!
//! Only `envoy` calls Envoy, and only `plugin` is called by it; both exist in the sandbox alone. All the rest builds and
//! is tested natively.

#[cfg(target_arch = "wasm32")]
mod abi;
pub mod attributes;
pub mod configuration;
#[cfg(target_arch = "wasm32")]
mod envoy;
pub mod handed_on;
#[cfg(target_arch = "wasm32")]
mod logger;
pub mod metrics;
pub mod pairs;
#[cfg(target_arch = "wasm32")]
mod plugin;
pub mod replay;
pub mod shared_data;
