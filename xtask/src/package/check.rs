//! Whether the packages are made alike twice, byte for byte, and on any machine.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::{directory, pack, tree, within_reach};
use crate::build;
use crate::sh::{self, Result};

/// Packs the artifacts once more, compares, and looks for paths of this machine in them: what a build elsewhere would
/// make otherwise.
pub(crate) fn check() -> Result<()> {
    paths(&build::dist())?;
    let again = sh::target().join("packages-again");
    let compared = pack(&build::dist(), &again).and_then(|_| compare(&directory(), &again));
    fs::remove_dir_all(&again).ok();
    compared
}

/// Builds the artifacts anew in a directory of their own, packs them, and compares. Takes minutes.
pub(super) fn rebuild() -> Result<()> {
    let again = sh::target().join("packages-again");
    let (build, dist, packages) = (again.join("build"), again.join("dist"), again.join("packages"));
    tree::empty(&again)?;
    within_reach().into_iter().try_for_each(|artifact| artifact.run_into(&build, &dist))?;
    pack(&dist, &packages)?;
    compare(&directory(), &packages)?;
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
fn paths(dist: &Path) -> Result<()> {
    let home = env::var_os("CARGO_HOME").or_else(|| env::var_os("HOME")).map(PathBuf::from);
    let own: Vec<_> = [Some(sh::root()), home].into_iter().flatten().collect();
    for artifact in within_reach() {
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
