//! From a configuration's bytes to a policy at work.
#![forbid(unsafe_code)]

use secure_callbacks::PolicyError;
use secure_callbacks_envoy::{Protection, configuration};

use crate::host::{ModuleHost, now};
use crate::replay;
use crate::secrets::Process;
use crate::shared_store::Link;

/// What the filter must be called (`filter_name`).
const NAME: &str = "secure_callbacks";

/// Reads a configuration, of a filter or of a route, and makes ready what it asks for. Says in the log why it is refused.
pub(crate) fn protect(name: &[u8], configuration: &[u8]) -> Option<Protection<ModuleHost>> {
    if name != NAME.as_bytes() {
        let name = String::from_utf8_lossy(name);
        log::error!("secure_callbacks: configuration: filter_name is {name:?}, and must be {NAME:?}");
        return None;
    }
    match at_work(configuration) {
        Ok(protection) => {
            for warning in protection.verifier().policy().warnings() {
                log::warn!("secure_callbacks: configuration: {warning}");
            }
            Some(protection)
        }
        Err(error) => {
            log::error!("secure_callbacks: configuration: {error}");
            None
        }
    }
}

fn at_work(configuration: &[u8]) -> Result<Protection<ModuleHost>, PolicyError> {
    let policy = configuration::read(configuration)?.resolve(&Process)?;
    let store = if policy.replay() {
        let store = replay::process().open(&policy, now());
        if store.is_none() {
            log::error!("secure_callbacks: configuration: no memory for replay_capacity: nothing will be accepted");
        }
        store
    } else {
        None
    };
    let link = Link::open(&policy)?;
    let name = policy.name().into();
    Ok(Protection::new(policy, name, store).sharing(link))
}
