//! Which release is packed: its version, its packages' revision and its time, from `packaging/changelog`.

use std::env;
use std::path::PathBuf;

use crate::sh::{self, Cmd, Result};

/// A release.
pub(super) struct Release {
    /// The version of the sources, such as `0.1.0`.
    pub(super) version: String,
    /// How often this version was packed.
    pub(super) revision: String,
    /// Seconds since 1970: what every file is dated with. `SOURCE_DATE_EPOCH` where somebody rebuilds another's package,
    /// else the changelog's time.
    pub(super) epoch: u64,
}

impl Release {
    /// Reads the changelog's newest entry and compares it with the workspace.
    pub(super) fn read() -> Result<Self> {
        let full = newest("Version")?;
        let (version, revision) =
            full.split_once('-').ok_or_else(|| format!("packaging/changelog: {full} names no revision"))?;
        if version != env!("CARGO_PKG_VERSION") {
            return Err(format!("packaging/changelog is about {version}, and this is {}", env!("CARGO_PKG_VERSION")));
        }
        let epoch = env::var("SOURCE_DATE_EPOCH").or_else(|_| newest("Timestamp"))?;
        let epoch = epoch.trim().parse().map_err(|error| format!("SOURCE_DATE_EPOCH `{epoch}`: {error}"))?;
        Ok(Self { version: version.into(), revision: revision.into(), epoch })
    }

    /// The time as RFC 3339 writes it.
    pub(super) fn timestamp(&self) -> Result<String> {
        let time = format!("--date=@{}", self.epoch);
        Cmd::new("date").args(["--utc", &time, "+%Y-%m-%dT%H:%M:%SZ"]).output().map(|text| text.trim().into())
    }
}

/// A field of the changelog's newest entry.
fn newest(field: &str) -> Result<String> {
    let entry = Cmd::new("dpkg-parsechangelog").arg("-l").arg(packaging("changelog")).args(["-S", field]).output()?;
    Ok(entry.trim().into())
}

/// A file in `packaging`.
pub(super) fn packaging(name: &str) -> PathBuf {
    sh::root().join("packaging").join(name)
}
