//! From a configuration's bytes to a policy at work.
#![forbid(unsafe_code)]

use secure_callbacks::problem::Problem;
use secure_callbacks::{PolicyConfig, PolicyError};
use secure_callbacks_envoy::Protection;

use crate::host::{ModuleHost, now};
use crate::replay;
use crate::secrets::Process;

/// What the filter must be called (`filter_name`).
const NAME: &str = "secure_callbacks";

/// Reads a configuration, of a filter or of a route, and makes ready what it asks for. Says in the log why it is refused.
pub(crate) fn protect(name: &[u8], configuration: &[u8]) -> Option<Protection<ModuleHost>> {
    if name != NAME.as_bytes() {
        let name = String::from_utf8_lossy(name);
        log::error!("secure_callbacks: configuration: filter_name is {name:?}, and must be {NAME:?}");
        return None;
    }
    match read(configuration) {
        Ok(protection) => {
            for place in protection.verifier().policy().short_secrets() {
                log::warn!("secure_callbacks: configuration: {place}: fewer than 32 bytes");
            }
            Some(protection)
        }
        Err(error) => {
            log::error!("secure_callbacks: configuration: {error}");
            None
        }
    }
}

/// Envoy hands over a `google.protobuf.StringValue` as its text, and a `google.protobuf.Struct` as JSON text.
fn read(configuration: &[u8]) -> Result<Protection<ModuleHost>, PolicyError> {
    if configuration.trim_ascii().is_empty() {
        return Err(PolicyError::new("", Problem::Empty));
    }
    let not_text = |_| PolicyError::new("", Problem::Expected("JSON text or a google.protobuf.Struct"));
    let policy = PolicyConfig::from_json(str::from_utf8(configuration).map_err(not_text)?)?.resolve(&Process)?;
    let store = if policy.replay() {
        let store = replay::process().open(&policy, now());
        if store.is_none() {
            log::error!("secure_callbacks: configuration: no memory for replay_capacity: nothing will be accepted");
        }
        store
    } else {
        None
    };
    let name = policy.name().into();
    Ok(Protection::new(policy, name, store))
}
