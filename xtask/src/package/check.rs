//! Whether the packages are made alike twice, byte for byte, and on any machine.

use std::path::{Path, PathBuf};
use std::{env, fs};

use secure_callbacks_proxies::Machine;

use super::source::Source;
use super::{directory, pack, release_source, tree, within_reach};
use crate::build;
use crate::sh::{self, Result};

/// Packs the artifacts once more, compares, and looks for paths of this machine in them: what a build elsewhere would
/// make otherwise.
pub(crate) fn check(machine: Machine) -> Result<()> {
    paths(machine, &build::dist())?;
    let again = sh::target().join("packages-again");
    let source = release_source(machine)?;
    let compared =
        pack(machine, &build::dist(), &again, source.as_ref()).and_then(|_| compare(&directory(machine), &again));
    fs::remove_dir_all(&again).ok();
    compared
}

/// Builds the artifacts anew in a directory of their own, packs them, and compares. Takes minutes.
pub(super) fn rebuild(machine: Machine, source: Option<&Source>) -> Result<()> {
    let again = sh::target().join("packages-again");
    let (build, dist, packages) = (again.join("build"), again.join("dist"), again.join("packages"));
    tree::empty(&again)?;
    within_reach(machine).into_iter().try_for_each(|artifact| artifact.run_into(&build, &dist))?;
    pack(machine, &dist, &packages, source)?;
    compare(&directory(machine), &packages)?;
    fs::remove_dir_all(&again).ok();
    println!("built twice, and the same bytes");
    Ok(())
}

fn compare(first: &Path, second: &Path) -> Result<()> {
    let names = tree::names(first)?;
    if names != tree::names(second)? {
        return Err("the second time other files were made".into());
    }
    let mut other = Vec::new();
    for name in names {
        if tree::read(&first.join(&name))? != tree::read(&second.join(&name))? {
            other.push(name);
        }
    }
    if other.is_empty() { Ok(()) } else { Err(format!("made twice, and not the same bytes: {}", other.join(", "))) }
}

/// No artifact names a directory of whoever built it.
fn paths(machine: Machine, dist: &Path) -> Result<()> {
    let home = env::var_os("CARGO_HOME").or_else(|| env::var_os("HOME")).map(PathBuf::from);
    let own: Vec<_> = [Some(sh::root()), home].into_iter().flatten().collect();
    for artifact in within_reach(machine) {
        let artifact = artifact.file()?;
        let content = tree::read(&dist.join(&artifact))?;
        for path in &own {
            let path = format!("{}/", path.display());
            if content.windows(path.len()).any(|window| window == path.as_bytes()) {
                let artifact = artifact.display();
                return Err(format!("{artifact} names a path of this machine: {path}…"));
            }
        }
    }
    Ok(())
}
