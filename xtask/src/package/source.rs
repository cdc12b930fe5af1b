//! The commit that a release is made of: its name, its files, and what keeps it from being released.

use std::path::Path;

use serde_json::{Value, json};

use super::release::Release;
use super::tree;
use crate::sh::{self, Cmd, Result};

/// What is checked out.
pub(super) struct Source {
    commit: String,
    /// Whether the work tree differs from the commit.
    is_changed: bool,
    /// What keeps it from being released, each with what to do about it.
    obstacles: Vec<String>,
}

impl Source {
    /// Asks git, and reads the changes.
    pub(super) fn read() -> Result<Self> {
        let commit = Cmd::new("git").args(["rev-parse", "--verify", "HEAD"]).output();
        let commit = commit.map_err(|problem| format!("a release is made in a clone of the repository: {problem}"))?;
        let changes = Cmd::new("git").args(["status", "--porcelain"]).output()?;
        let log = tree::read_text(&sh::root().join("CHANGELOG.md"))?;
        Ok(Self {
            commit: commit.trim().into(),
            is_changed: !changes.is_empty(),
            obstacles: obstacles(&changes, &log, env!("CARGO_PKG_VERSION")),
        })
    }

    /// It, if nothing keeps it from being released.
    pub(super) fn fit(self) -> Result<Self> {
        if self.obstacles.is_empty() {
            return Ok(self);
        }
        Err(format!("not released:\n{}\n`--dry-run` makes all of it nevertheless, to be looked at.", self.told()))
    }

    /// What keeps it from being released, in lines; nothing if nothing does.
    pub(super) fn told(&self) -> String {
        self.obstacles.iter().map(|obstacle| format!("- {obstacle}\n")).collect()
    }

    /// Packs the commit's files.
    pub(super) fn archive(&self, release: &Release, out: &Path) -> Result<()> {
        let name = format!("secure-callbacks-{}", release.version);
        // Git's own compression differs from version to version.
        let packed = out.join(format!("{name}.tar"));
        Cmd::new("git")
            .args(["archive", "--format=tar", &format!("--prefix={name}/")])
            .arg(format!("--output={}", packed.display()))
            .arg(&self.commit)
            .output()?;
        tree::write(&out.join(format!("{name}.tar.gz")), &tree::compress(&tree::read(&packed)?)?)?;
        tree::remove(&packed)
    }

    /// As provenance names it.
    pub(super) fn dependency(&self) -> Value {
        let mut fields = json!({ "name": "secure-callbacks", "digest": { "gitCommit": self.commit } });
        if let (true, Some(fields)) = (self.is_changed, fields.as_object_mut()) {
            fields.insert("annotations".into(), json!({ "changedAfterwards": true }));
        }
        fields
    }
}

/// `changes` is what git says of the work tree, `log` the text of CHANGELOG.md.
fn obstacles(changes: &str, log: &str, version: &str) -> Vec<String> {
    let mut obstacles = Vec::new();
    if !changes.is_empty() {
        let files = changes.lines().map(|line| format!("\n    {line}")).collect::<String>();
        obstacles.push(format!("the work tree differs from the commit; commit this or take it away:{files}"));
    }
    let headings = log.lines().filter_map(|line| line.strip_prefix("## "));
    if !headings.into_iter().any(|heading| is_dated(heading, version)) {
        obstacles.push(format!(
            "CHANGELOG.md has no heading `## {version} - YYYY-MM-DD`; write it above what is released, and leave \
             `## Unreleased` above it"
        ));
    }
    obstacles
}

/// Whether a heading is that of this version, with a date.
fn is_dated(heading: &str, version: &str) -> bool {
    let date = heading.strip_prefix(version).and_then(|rest| rest.strip_prefix(" - ")).unwrap_or_default();
    let numbers = date.split('-').map(|part| part.parse::<u16>().ok().map(|number| (part.len(), number)));
    matches!(numbers.collect::<Vec<_>>().as_slice(), [Some((4, _)), Some((2, 1..=12)), Some((2, 1..=31))])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATED: &str = "# Changes\n\n## Unreleased\n\n## 0.1.0 - 2026-11-30\n\n- The first.\n";

    #[test]
    fn what_is_committed_and_dated_is_released() {
        assert!(obstacles("", DATED, "0.1.0").is_empty());
    }

    #[test]
    fn a_change_that_no_commit_has_is_named_with_what_to_do() {
        let told = obstacles(" M src/code.rs\n?? note\n", DATED, "0.1.0");
        assert_eq!(told.len(), 1);
        for part in ["commit this or take it away", " M src/code.rs", "?? note"] {
            assert!(told[0].contains(part), "{told:?}");
        }
    }

    #[test]
    fn a_version_without_a_dated_heading_is_not_released() {
        for heading in
            ["Unreleased", "0.1.0", "0.1.0 - soon", "0.1.0 - 2026-13-01", "0.1.0 - 26-11-30", "0.1.01 - 2026-11-30"]
        {
            let told = obstacles("", &format!("# Changes\n\n## {heading}\n"), "0.1.0");
            assert_eq!(told.len(), 1, "{heading}");
            assert!(told[0].contains("no heading `## 0.1.0 - YYYY-MM-DD`; write it"), "{told:?}");
        }
        assert_eq!(obstacles(" M x\n", DATED, "0.2.0").len(), 2);
    }

    #[test]
    fn the_refusal_tells_all_of_it_and_what_goes_nevertheless() {
        let source = |obstacles: &[&str]| Source {
            commit: String::new(),
            is_changed: false,
            obstacles: obstacles.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert!(source(&[]).fit().is_ok());
        let told = source(&["one", "two"]).fit().err().unwrap_or_default();
        assert_eq!(told, "not released:\n- one\n- two\n\n`--dry-run` makes all of it nevertheless, to be looked at.");
    }
}
