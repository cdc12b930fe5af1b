//! Which release is packed: its version, its packages' revision and its time, from `packaging/changelog`.

use std::env;
use std::path::PathBuf;

use super::tree;
use crate::sh::{self, Cmd, Result};

/// A release.
pub(super) struct Release {
    /// The version of the sources, such as `0.1.0`.
    pub(super) version: String,
    /// How often this version was packed.
    pub(super) revision: String,
    /// Who packs it, with an address.
    pub(super) maintainer: String,
    /// Seconds since 1970: what every file is dated with.
    pub(super) epoch: u64,
    /// The whole changelog.
    pub(super) changelog: String,
}

impl Release {
    /// Reads the changelog's newest entry and compares it with the workspace.
    pub(super) fn read() -> Result<Self> {
        let changelog = tree::read_text(&packaging("changelog"))?;
        let wrong = |what: &str| format!("packaging/changelog: the first entry has no {what}");
        let heading = changelog.lines().next().unwrap_or_default();
        let full = heading.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let (version, revision) = full.and_then(|(full, _)| full.split_once('-')).ok_or_else(|| wrong("version"))?;
        if version != env!("CARGO_PKG_VERSION") {
            return Err(format!("packaging/changelog is about {version}, and this is {}", env!("CARGO_PKG_VERSION")));
        }
        let signature = changelog.lines().find_map(|line| line.strip_prefix(" -- "));
        let (maintainer, date) = signature.and_then(|line| line.split_once("  ")).ok_or_else(|| wrong("signature"))?;
        Ok(Self {
            version: version.into(),
            revision: revision.into(),
            maintainer: maintainer.into(),
            epoch: epoch(date)?,
            changelog: changelog.clone(),
        })
    }

    /// The time as RFC 3339 writes it.
    pub(super) fn timestamp(&self) -> Result<String> {
        let time = format!("--date=@{}", self.epoch);
        Cmd::new("date").args(["--utc", &time, "+%Y-%m-%dT%H:%M:%SZ"]).output().map(|text| text.trim().into())
    }
}

/// `SOURCE_DATE_EPOCH` where somebody rebuilds another's package, else the changelog's time, as Debian's tools do.
fn epoch(date: &str) -> Result<u64> {
    let seconds = match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => Cmd::new("date").args([&format!("--date={date}"), "+%s"]).output()?,
    };
    seconds.trim().parse().map_err(|error| format!("SOURCE_DATE_EPOCH `{}`: {error}", seconds.trim()))
}

/// A file in `packaging`.
pub(super) fn packaging(name: &str) -> PathBuf {
    sh::root().join("packaging").join(name)
}
