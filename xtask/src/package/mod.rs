//! `cargo xtask package`: what an operator installs, into `target/packages`.
//!
//! The same source gives the same bytes: times come from the changelog, orders are sorted, and no path of the building
//! machine gets into an artifact.

mod check;
mod deb;
mod oci;
mod release;
mod sbom;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies::{self as proxies, Package, Proxy};

use crate::build::{self, Build};
use crate::nginx::Nginx;
use crate::setup::Part;
use crate::sh::{self, Cmd, Result};
use deb::Deb;
use release::Release;
use sbom::Bom;

pub(crate) use check::check;

/// What making the packages needs.
pub(crate) fn needs() -> Vec<Part> {
    builds().into_iter().flat_map(Build::needs).collect()
}

/// What is packed.
fn builds() -> Vec<Build> {
    [Build::Filter].into_iter().chain(modules().map(|(_, proxy)| Build::NginxModule(proxy))).collect()
}

/// How the module is packed, and for which nginx.
fn modules() -> impl Iterator<Item = (Package, &'static Proxy)> {
    proxies::all().iter().filter_map(|proxy| Some((proxy.package?, proxy)))
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

fn directory() -> PathBuf {
    sh::target().join("packages")
}

/// Packs the artifacts in `dist` into the directory `out`, emptied first. Returns the names of the files.
fn pack(dist: &Path, out: &Path) -> Result<Vec<String>> {
    tree::empty(out)?;
    let release = Release::read()?;
    filter(&release, dist, out)?;
    for (package, proxy) in modules() {
        let nginx = Nginx::of(proxy)?;
        let deb = match package {
            Package::Debian => Deb::debian(&release, &nginx),
            Package::NginxOrg => Deb::nginx_org(&release, &nginx)?,
        };
        let module = dist.join(format!("nginx-{}/{}", deb.nginx_version(), deb::MODULE));
        deb.build(&release, &module, out)?;
    }
    sums(out)
}

/// The Envoy filter: the file itself, what is in it, and an image for Istio and Envoy Gateway.
fn filter(release: &Release, dist: &Path, out: &Path) -> Result<()> {
    let name = format!("secure_callbacks-{}", release.version);
    let module = tree::read(&dist.join("secure_callbacks.wasm"))?;
    tree::write(&out.join(format!("{name}.wasm")), &module)?;
    tree::write(&out.join(format!("{name}.cdx.json")), &Bom::Filter.list(release, &module)?)?;
    oci::image(release, &module, &out.join(format!("{name}.oci.tar")))
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
