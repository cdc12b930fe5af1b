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

use secure_callbacks_proxies::{self as proxies, Machine, Proxy, Source as Origin};

use crate::build::{self, Build};
use crate::setup::Part;
use crate::sh::{self, Cmd, Result};
use release::Release;
use source::Source;

pub(crate) use check::check;

/// What making the packages needs, but for what may be out of reach.
pub(crate) fn needs(machine: Machine) -> Vec<Part> {
    let is_another =
        |part: &Part| matches!(part, Part::Proxy(Proxy { source: Origin::Debian { .. }, machine: Machine::This, .. }));
    builds(machine).into_iter().flat_map(Build::needs).filter(|part| !is_another(part)).collect()
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

/// What of it can be packed here. What can't is told: it is out of reach, or the setup has said why not.
fn within_reach(machine: Machine) -> Vec<Build> {
    let is_there = |build: &Build| {
        let is_there = build.needs().into_iter().all(Part::is_there);
        if !is_there {
            println!("left out of the packages: {}", build.title());
        }
        is_there
    };
    builds(machine).into_iter().filter(is_there).collect()
}

/// Builds the artifacts and packs them; `twice`: and does it all again, from nothing, to compare.
pub(crate) fn run(machine: Machine, twice: bool) -> Result<()> {
    make(machine, twice, || Ok(None))
}

/// The same for a release, with the source and the provenance. What is not fit to be released is refused, and in a
/// rehearsal only told of.
pub(crate) fn release(is_rehearsal: bool, twice: bool) -> Result<()> {
    let source = || Source::read().and_then(|source| if is_rehearsal { Ok(source) } else { source.fit() });
    // Before minutes of building. Afterwards it is asked again, of what was built.
    source()?;
    make(Machine::This, twice, || source().map(Some))
}

fn make(machine: Machine, twice: bool, source: impl FnOnce() -> Result<Option<Source>>) -> Result<()> {
    build::together(&builds(machine), Vec::new())?;
    let source = source()?;
    let directory = directory(machine);
    let made = pack(machine, &build::dist(), &directory, source.as_ref())?;
    println!("\nin {}:", sh::short(&directory));
    for file in made {
        let size = fs::metadata(directory.join(&file)).map_or(0, |file| file.len());
        println!("  {:>5} KiB  {file}", size.div_ceil(1024));
    }
    if twice {
        check::rebuild(machine, source.as_ref())?;
    }
    let obstacles = source.map(|source| source.told()).unwrap_or_default();
    if !obstacles.is_empty() {
        println!("\na rehearsal; a release would be refused:\n{obstacles}");
    }
    Ok(())
}

/// What a rehearsal of a release is of: its source goes with the packages for this machine.
fn release_source(machine: Machine) -> Result<Option<Source>> {
    (machine == Machine::This).then(Source::read).transpose()
}

/// Packs what is built, as a rehearsal of a release; tests read it from there.
pub(crate) fn pack_built(machine: Machine) -> Result<()> {
    pack(machine, &build::dist(), &directory(machine), release_source(machine)?.as_ref()).map(|_| ())
}

/// Packs the module for the system's nginx alone: what the image in `packaging/docker` installs.
pub(crate) fn pack_for_image() -> Result<()> {
    let nginx = proxies::system_nginx()?;
    let module = build::dist().join(Build::NginxModule(nginx).file()?);
    fs::create_dir_all(directory(Machine::This)).map_err(|error| format!("cannot create target/packages: {error}"))?;
    deb::pack(&Release::read()?, nginx, &module, &directory(Machine::This))
}

fn directory(machine: Machine) -> PathBuf {
    sh::target().join(format!("packages{}", machine.suffix()))
}

/// Packs the artifacts in `dist` into the directory `out`, emptied first, and for a release of this source the rest of it.
/// Returns the names of the files.
fn pack(machine: Machine, dist: &Path, out: &Path, source: Option<&Source>) -> Result<Vec<String>> {
    tree::empty(out)?;
    let release = Release::read()?;
    for build in within_reach(machine) {
        let artifact = dist.join(build.file()?);
        match build {
            Build::Filter | Build::EnvoyModule(_) => plain::pack(&release, build, &artifact, out)?,
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
