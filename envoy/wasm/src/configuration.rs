//! The plugin's configuration into a policy at work.

use std::fmt::Write as _;

use secure_callbacks::problem::Problem;
use secure_callbacks::{Policy, PolicyError, SecretProblem, SecretSource, UnixSeconds};
use secure_callbacks_envoy::configuration::read;
use secure_callbacks_envoy::{Host, Protection};

use crate::metrics::{Metrics, Registry};
use crate::replay::Tables;
use crate::shared_data::{SharedData, is_news, key};

/// Reads a plugin's configuration and makes ready what it asks for.
///
/// # Errors
/// The first bad entry, by its place.
pub fn configure<H: Host<Metrics = Metrics, Store = Tables>>(
    configuration: &[u8],
    secrets: &dyn SecretSource,
    host: &(impl SharedData + Registry),
    now: UnixSeconds,
) -> Result<Protection<H>, PolicyError> {
    let policy = read(configuration)?.resolve(secrets)?;
    if policy.shared_store().is_some() {
        return Err(PolicyError::new(
            "replay_store",
            Problem::Expected("`local`: Envoy's sandbox can't share a store yet"),
        ));
    }
    // Without shared data there is no store.
    let tables = if policy.replay() { Tables::open(&policy, host, now) } else { None };
    let metrics = Metrics::define(policy.name(), policy.replay(), host);
    Ok(Protection::new(policy, metrics, tables))
}

/// The policy's warnings as one text, a line each; none if there are none, or if another worker has told the same.
pub fn warnings_to_tell(policy: &Policy, data: &impl SharedData) -> Option<String> {
    let mut text = String::new();
    for warning in policy.warnings() {
        let _ = writeln!(text, "{warning}");
    }
    let is_told = !text.is_empty() && is_news(data, &key(policy.name(), "warnings"), text.as_bytes());
    is_told.then_some(text)
}

/// Secrets in the sandbox: the environment that `vm_config` lets through, and no files.
#[derive(Debug, Clone, Copy)]
pub struct SandboxSecrets;

impl SecretSource for SandboxSecrets {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes).ok_or(SecretProblem::VariableNotSet)
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Err(SecretProblem::FilesUnsupported)
    }
}
