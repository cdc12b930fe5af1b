//! `cargo xtask package`: what an operator installs, into `target/packages`; `cargo xtask release`: with all that a release
//! has beside it.
//!
//! The same source gives the same bytes: times come from the changelog, orders are sorted, and no path of the building
//! machine gets into an artifact.

mod check;
mod deb;
mod oci;
mod plain;
mod provenance;
mod release;
mod sbom;
mod source;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{self, Build};
use crate::setup::Part;
use crate::sh::{self, Cmd, Result};
use release::Release;
use source::Source;

pub(crate) use check::check;

/// What making the packages needs.
pub(crate) fn needs() -> Vec<Part> {
    builds().into_iter().flat_map(Build::needs).collect()
}

/// What is packed.
fn builds() -> Vec<Build> {
    let is_packed = |build: &Build| match build {
        Build::Filter | Build::EnvoyModule => true,
        Build::NginxModule(proxy) => proxy.package.is_some(),
    };
    Build::all().into_iter().filter(is_packed).collect()
}

/// Builds the artifacts and packs them; `twice`: and does it all again, from nothing, to compare.
pub(crate) fn run(twice: bool) -> Result<()> {
    make(twice, || Ok(None))
}

/// The same for a release, with the source and the provenance. What is not fit to be released is refused, and in a
/// rehearsal only told of.
pub(crate) fn release(is_rehearsal: bool, twice: bool) -> Result<()> {
    let source = || Source::read().and_then(|source| if is_rehearsal { Ok(source) } else { source.fit() });
    // Before minutes of building. Afterwards it is asked again, of what was built.
    source()?;
    make(twice, || source().map(Some))
}

fn make(twice: bool, source: impl FnOnce() -> Result<Option<Source>>) -> Result<()> {
    build::together(&builds(), Vec::new())?;
    let source = source()?;
    let made = pack(&build::dist(), &directory(), source.as_ref())?;
    println!("\nin {}:", sh::short(&directory()));
    for file in made {
        let size = fs::metadata(directory().join(&file)).map_or(0, |file| file.len());
        println!("  {:>5} KiB  {file}", size.div_ceil(1024));
    }
    if twice {
        check::rebuild(source.as_ref())?;
    }
    let obstacles = source.map(|source| source.told()).unwrap_or_default();
    if !obstacles.is_empty() {
        println!("\na rehearsal; a release would be refused:\n{obstacles}");
    }
    Ok(())
}

/// Packs what is built, as a rehearsal of a release; tests read it from there.
pub(crate) fn pack_built() -> Result<()> {
    pack(&build::dist(), &directory(), Some(&Source::read()?)).map(|_| ())
}

fn directory() -> PathBuf {
    sh::target().join("packages")
}

/// Packs the artifacts in `dist` into the directory `out`, emptied first, and for a release of this source the rest of it.
/// Returns the names of the files.
fn pack(dist: &Path, out: &Path, source: Option<&Source>) -> Result<Vec<String>> {
    tree::empty(out)?;
    let release = Release::read()?;
    for build in builds() {
        let artifact = dist.join(build.file()?);
        match build {
            Build::Filter | Build::EnvoyModule => plain::pack(&release, build, &artifact, out)?,
            Build::NginxModule(proxy) => deb::pack(&release, proxy, &artifact, out)?,
        }
    }
    if let Some(source) = source {
        source.archive(&release, out)?;
        // Last, because it names all the others.
        provenance::write(&release, source, out)?;
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
