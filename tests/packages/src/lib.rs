//! A clean Debian to install packages in, and where the packages are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

pub mod deb;
pub mod machine;

use anyhow::{Context, Error, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use secure_callbacks_harness::tools;
use secure_callbacks_proxies::{self as proxies, Machine, PACKAGES_VARIABLE, Package, Proxy};

/// The machine whose packages are looked into.
#[must_use]
pub fn packed_for() -> Machine {
    let named = std::env::var(PACKAGES_VARIABLE).unwrap_or_default();
    let machine = Machine::ALL.into_iter().find(|machine| machine.folder() == named);
    machine.unwrap_or_else(|| panic!("{PACKAGES_VARIABLE}: there is no {named}"))
}

/// Where `cargo xtask package` puts what it makes.
#[must_use]
pub fn packages() -> PathBuf {
    tools::target().join(format!("packages{}", packed_for().suffix()))
}

/// The one package whose file name begins and ends so.
pub fn package(prefix: &str, suffix: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(packages()).context("no packages: run `cargo xtask package`")?;
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(suffix)
    };
    let found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(fits).collect();
    ensure!(found.len() == 1, "{} packages {prefix}…{suffix} instead of one", found.len());
    Ok(found[0].clone())
}

/// The blocks of code of a page that begin with such a line.
#[must_use]
pub fn blocks(page: &'static str, info: &str) -> Vec<&'static str> {
    let opening = format!("\n```{info}\n");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// What the package of the module for a Debian's nginx is called.
pub const MODULE: &str = "libnginx-mod-http-secure-callbacks";

/// The package for this nginx of a Debian's.
pub fn package_for(proxy: &Proxy) -> Result<PathBuf> {
    let Some(Package::Debian(number)) = proxy.package else { bail!("{proxy} is packed for no Debian") };
    package(&format!("{MODULE}_"), &format!("~deb{number}_amd64.deb"))
}

/// The one for the machine's own Debian.
pub fn package_for_system() -> Result<PathBuf> {
    package_for(proxies::system_nginx().map_err(Error::msg)?)
}

/// A program that needs the rights of root: started directly, or through sudo.
#[must_use]
pub fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Runs a program to its end; what it printed is an error's text.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = format!("{command:?}");
    let output = command.output().with_context(|| format!("starting {name}"))?;
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    ensure!(output.status.success(), "{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said));
    Ok(output)
}

/// Removes a directory that may hold files of root.
pub fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        run(as_root("rm").arg("-rf").arg(directory))?;
    }
    Ok(())
}
