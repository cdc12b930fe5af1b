//! The artifacts, into `target/dist`, from where tests, the demo and the examples take them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::nginx::Nginx;
use crate::setup::{self, Part, WASM_TARGET};
use crate::sh::{self, Cmd, Result};
use crate::wasm;

/// SHA-256 takes most of the filter's time, and `sha2` has it in the sandbox's vector instructions too: a tenth faster in Envoy 1.40.
/// The names of functions are 70 KB of the module; a panic is logged with its place in the source all the same.
/// LLVM puts functions into one another up to a weight of 250 unless told otherwise; up to 100 is as fast and 23 KB less.
/// (`.cargo/config.toml` has all but the names for other builds: what it says for a target gives way to flags given here.)
const WASM_FLAGS: [&str; 6] =
    ["-C", "target-feature=+simd128", "-C", "llvm-args=-inline-threshold=100", "-C", "strip=symbols"];

/// What can be built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Artifact {
    /// The proxy-wasm filter.
    Envoy,
    /// Envoy's dynamic module.
    EnvoyModule,
    /// The dynamic module, once for each version of nginx.
    Nginx,
}

/// Gets what the artifacts need and builds them.
pub(crate) fn set_up_and_build(artifacts: &[Artifact]) -> Result<()> {
    let needed = Part::ALL.into_iter().filter(|part| match part {
        Part::Wasm => artifacts.contains(&Artifact::Envoy),
        Part::Packages | Part::SystemNginx | Part::BuiltNginx | Part::SuitePackages | Part::SuiteNginx => {
            artifacts.contains(&Artifact::Nginx)
        }
        // A build needs no proxy to run.
        Part::Envoy | Part::OlderEnvoys => false,
    });
    setup::require(&needed.collect::<Vec<_>>())?;
    artifacts.iter().try_for_each(|artifact| artifact.build())
}

impl Artifact {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Envoy, Self::EnvoyModule, Self::Nginx];

    /// Builds it, where what it needs is there.
    pub(crate) fn build(self) -> Result<()> {
        match self {
            Self::Envoy => envoy(),
            Self::EnvoyModule => envoy_module(),
            Self::Nginx => {
                nginx(&Nginx::system()?)?;
                nginx(&Nginx::built())?;
                // Where its suite is out of reach there is none.
                Nginx::of_suite().map_or(Ok(()), |newest| nginx(&newest))
            }
        }
    }
}

/// The filter: `target/dist/secure_callbacks.wasm`.
pub(crate) fn envoy() -> Result<()> {
    envoy_into(&sh::cargo_target(), &dist())
}

/// The filter, compiled in the directory `target` and put into `dist`.
pub(crate) fn envoy_into(target: &Path, dist: &Path) -> Result<()> {
    let start = Instant::now();
    wasm_cargo("build").arg("--release").arg("--target-dir").arg(target).portable(target, &WASM_FLAGS).shown()?;
    let made = target.join(WASM_TARGET).join("release/secure_callbacks_envoy_wasm.wasm");
    let module = fs::read(&made).map_err(|error| format!("cannot read {}: {error}", made.display()))?;
    place(&wasm::finish(&module)?, &dist.join("secure_callbacks.wasm"), start)
}

/// Envoy's dynamic module: `target/dist/libsecure_callbacks.so`, one for every release that it runs in.
pub(crate) fn envoy_module() -> Result<()> {
    envoy_module_into(&sh::cargo_target(), &dist())
}

/// The same, compiled in the directory `target` and put into `dist`.
pub(crate) fn envoy_module_into(target: &Path, dist: &Path) -> Result<()> {
    let start = Instant::now();
    let cargo = Cmd::cargo(["build", "--release", "-p", "secure-callbacks-envoy-module", "--target-dir"]);
    // Other flags than the tools' are other builds of all they share: it has a directory of its own.
    let target = target.join("envoy-module");
    cargo.arg(&target).portable(&target, &[]).shown()?;
    let made = target.join("release/libsecure_callbacks_envoy_module.so");
    let module = fs::read(&made).map_err(|error| format!("cannot read {}: {error}", made.display()))?;
    place(&module, &dist.join("libsecure_callbacks.so"), start)
}

/// A cargo command on the filter.
pub(crate) fn wasm_cargo(command: &str) -> Cmd {
    Cmd::cargo([command, "-p", "secure-callbacks-envoy-wasm", "--target", WASM_TARGET])
}

/// The module for one nginx: `target/dist/nginx-VERSION/ngx_http_secure_callbacks_module.so`.
pub(crate) fn nginx(nginx: &Nginx) -> Result<()> {
    nginx_into(nginx, &sh::cargo_target(), &dist())
}

/// The module, compiled in a directory of its own under `target` and put into `dist`.
pub(crate) fn nginx_into(nginx: &Nginx, target: &Path, dist: &Path) -> Result<()> {
    let start = Instant::now();
    nginx_cargo_in(nginx, "build", target).shown()?;
    let made = nginx_target(nginx, target).join("release/libsecure_callbacks_nginx.so");
    let directory = dist.join(format!("nginx-{}", nginx.version));
    let module = fs::read(&made).map_err(|error| format!("cannot read {}: {error}", made.display()))?;
    place(&module, &directory.join("ngx_http_secure_callbacks_module.so"), start)
}

/// A cargo command on the module. Each version of nginx has a target directory of its own, because the bindings differ;
/// checks share it and its profile with builds, so that the bindings are made once.
pub(crate) fn nginx_cargo(nginx: &Nginx, command: &str) -> Cmd {
    nginx_cargo_in(nginx, command, &sh::cargo_target())
}

fn nginx_cargo_in(nginx: &Nginx, command: &str, target: &Path) -> Cmd {
    let target = nginx_target(nginx, target);
    let cargo = Cmd::cargo([command, "--release", "-p", "secure-callbacks-nginx", "--target-dir"]);
    let cargo = cargo.arg(&target).portable(&target, &[]);
    nginx.module_env().iter().fold(cargo, |cargo, (name, value)| cargo.env(name, value))
}

fn nginx_target(nginx: &Nginx, target: &Path) -> PathBuf {
    target.join(format!("nginx-{}", nginx.version))
}

/// Where the artifacts are.
pub(crate) fn dist() -> PathBuf {
    sh::target().join("dist")
}

/// Puts what cargo made where people look for it.
fn place(module: &[u8], artifact: &Path, start: Instant) -> Result<()> {
    let problem = |error: std::io::Error| format!("cannot write {}: {error}", artifact.display());
    if let Some(directory) = artifact.parent() {
        fs::create_dir_all(directory).map_err(problem)?;
    }
    // Renamed into place: a proxy that has the old file mapped keeps it whole.
    let aside = artifact.with_extension("new");
    fs::write(&aside, module).map_err(problem)?;
    fs::rename(&aside, artifact).map_err(problem)?;
    println!("{}: {} KiB, {:.1} s", sh::short(artifact), module.len().div_ceil(1024), start.elapsed().as_secs_f32());
    sh::flush();
    Ok(())
}
