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

use secure_callbacks_proxies::{self as proxies, Proxy, Source};

use crate::build::{self, Build};
use crate::setup::Part;
use crate::sh::{self, Cmd, Result};
use release::Release;

pub(crate) use check::check;

/// What making the packages needs, but for what may be out of reach.
pub(crate) fn needs() -> Vec<Part> {
    let parts = builds().into_iter().flat_map(Build::needs);
    parts.filter(|part| !matches!(part, Part::Proxy(Proxy { source: Source::Debian { .. }, .. }))).collect()
}

/// What is packed.
fn builds() -> Vec<Build> {
    let is_packed = |build: &Build| match build {
        Build::Filter | Build::EnvoyModule => true,
        Build::NginxModule(proxy) => proxy.package.is_some(),
    };
    Build::all().into_iter().filter(is_packed).collect()
}

/// What of it can be packed here. What can't is told: it is out of reach, or the setup has said why not.
fn within_reach() -> Vec<Build> {
    let is_there = |build: &Build| {
        let is_there = build.needs().into_iter().all(Part::is_there);
        if !is_there {
            println!("left out of the packages: {}", build.title());
        }
        is_there
    };
    builds().into_iter().filter(is_there).collect()
}

/// Builds the artifacts and packs them; `twice`: and does it all again, from nothing, to compare.
pub(crate) fn run(twice: bool) -> Result<()> {
    build::together(&builds(), Vec::new())?;
    let made = pack(&build::dist(), &directory())?;
    println!("\nin {}:", sh::short(&directory()));
    for file in made {
        let size = fs::metadata(directory().join(&file)).map_or(0, |file| file.len());
        println!("  {:>5} KiB  {file}", size.div_ceil(1024));
    }
    if twice { check::rebuild() } else { Ok(()) }
}

/// Packs what is built; tests read it from there.
pub(crate) fn pack_built() -> Result<()> {
    pack(&build::dist(), &directory()).map(|_| ())
}

/// Packs the module for the system's nginx alone: what the image in `packaging/docker` installs.
pub(crate) fn pack_for_image() -> Result<()> {
    let nginx = proxies::system_nginx()?;
    let module = build::dist().join(Build::NginxModule(nginx).file()?);
    fs::create_dir_all(directory()).map_err(|error| format!("cannot create target/packages: {error}"))?;
    deb::pack(&Release::read()?, nginx, &module, &directory())
}

fn directory() -> PathBuf {
    sh::target().join("packages")
}

/// Packs the artifacts in `dist` into the directory `out`, emptied first. Returns the names of the files.
fn pack(dist: &Path, out: &Path) -> Result<Vec<String>> {
    tree::empty(out)?;
    let release = Release::read()?;
    for build in within_reach() {
        let artifact = dist.join(build.file()?);
        match build {
            Build::Filter | Build::EnvoyModule => plain::pack(&release, build, &artifact, out)?,
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
