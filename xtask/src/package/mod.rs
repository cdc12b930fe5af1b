//! `cargo xtask package`: what an operator installs, into `target/packages`.
//!
//! The same source gives the same bytes: times come from the changelog, orders are sorted, and no path of the building
//! machine gets into an artifact.

mod check;
mod deb;
mod oci;
mod plain;
mod release;
mod sbom;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies::Machine;

use crate::build::{self, Build};
use crate::setup::Part;
use crate::sh::{self, Cmd, Result};
use release::Release;

pub(crate) use check::check;

/// What making the packages needs.
pub(crate) fn needs(machine: Machine) -> Vec<Part> {
    builds(machine).into_iter().flat_map(Build::needs).collect()
}

/// What is packed: for another machine what differs there.
fn builds(machine: Machine) -> Vec<Build> {
    let is_packed = |build: &Build| match build {
        Build::Filter => machine == Machine::This,
        Build::EnvoyModule(_) => true,
        Build::NginxModule(proxy) => proxy.package.is_some(),
    };
    Build::all(machine).into_iter().filter(is_packed).collect()
}

/// Builds the artifacts and packs them; `twice`: and does it all again, from nothing, to compare.
pub(crate) fn run(machine: Machine, twice: bool) -> Result<()> {
    build::together(&builds(machine), Vec::new())?;
    let directory = directory(machine);
    let made = pack(machine, &build::dist(), &directory)?;
    println!("\nin {}:", sh::short(&directory));
    for file in made {
        let size = fs::metadata(directory.join(&file)).map_or(0, |file| file.len());
        println!("  {:>5} KiB  {file}", size.div_ceil(1024));
    }
    if twice { check::rebuild(machine) } else { Ok(()) }
}

/// Packs what is built; tests read it from there.
pub(crate) fn pack_built(machine: Machine) -> Result<()> {
    pack(machine, &build::dist(), &directory(machine)).map(|_| ())
}

fn directory(machine: Machine) -> PathBuf {
    sh::target().join(format!("packages{}", machine.suffix()))
}

/// Packs the artifacts in `dist` into the directory `out`, emptied first. Returns the names of the files.
fn pack(machine: Machine, dist: &Path, out: &Path) -> Result<Vec<String>> {
    tree::empty(out)?;
    let release = Release::read()?;
    for build in builds(machine) {
        let artifact = dist.join(build.file()?);
        match build {
            Build::Filter | Build::EnvoyModule(_) => plain::pack(&release, build, &artifact, out)?,
            Build::NginxModule(proxy) => deb::pack(&release, proxy, &artifact, out)?,
        }
    }
    sums(out)
}

/// `SHA256SUMS`, as `sha256sum --check` reads it, over everything else.
fn sums(out: &Path) -> Result<Vec<String>> {
    let mut names = tree::names(out)?;
    names.sort();
    let sums = Cmd::new("sha256sum").arg("--").args(&names).dir(out).output()?;
    tree::write(&out.join("SHA256SUMS"), sums.as_bytes())?;
    names.push("SHA256SUMS".into());
    Ok(names)
}
