//! The images by `docs/install.md`: pushed to a registry by its commands, pulled from there by a Docker engine, and what is
//! inside.
use anyhow::{Context, Result, bail, ensure};
use secure_callbacks_harness::proxy::{Directory, Process, free_port};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_packages::{package, packages, run};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::first_hour::INSTALL;
use secure_callbacks_packages::blocks;

/// Why there is nothing to pull with, if there is not.
pub(crate) fn missing() -> Option<String> {
    let answers = run(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"])).is_ok();
    (!answers).then(|| "no Docker engine answers".into())
}

pub(crate) fn as_they_are_printed() -> Result<()> {
    let directory = Directory::new("images")?;
    let address = free_port()?;
    let config = format!(
        "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: \"{address}\" }}\n",
        directory.path().join("registry").display()
    );
    let mut registry = Command::new("docker-registry");
    registry.arg("serve").arg(directory.write("registry.yml", config)?);
    let mut registry = Process::start(registry, &directory.path().join("registry.log"))?;
    wait(registry.wait_until(|| async { TcpStream::connect(address).is_ok() }))?;

    // As it is printed, but for the registry, which has no certificate here.
    let here = |text: &str| text.replace("registry.example.com", &address.to_string());
    let [push] = blocks(INSTALL, "sh registry")[..] else { bail!("not one block of commands") };
    let push = here(push).replace("skopeo copy", "skopeo copy --dest-tls-verify=false");
    run(Command::new("sh").args(["-euc", &push]).current_dir(packages()))?;

    let version = env!("CARGO_PKG_VERSION");
    for (image, path, file) in [
        ("secure-callbacks", "/plugin.wasm", package("secure_callbacks-", ".wasm")?),
        ("secure-callbacks-module", "/libsecure_callbacks.so", package("libsecure_callbacks-", ".so")?),
    ] {
        let image = Image(format!("{address}/{image}:{version}"));
        docker(["pull", "--quiet", &image.0])?;
        image.holds(path, &file, &directory)?;
    }

    // An image of one's own with Envoy and the module; of Envoy's there is none to be had here.
    let [lines] = blocks(INSTALL, "dockerfile module")[..] else { bail!("not one Dockerfile") };
    let (from, copy) = lines.split_once('\n').context("two lines")?;
    ensure!(from.starts_with("FROM envoyproxy/envoy:distroless-v"), "{from}");
    directory.write("Dockerfile", format!("FROM scratch\n{}\n", here(copy)))?;
    let (_pulled, own) = (
        Image(format!("{address}/secure-callbacks-module:{version}")),
        Image(format!("secure-callbacks-test-{}", std::process::id())),
    );
    let file = directory.path().join("Dockerfile");
    let file = file.to_str().context("a path")?;
    docker(["build", "--quiet", "--tag", &own.0, "--file", file, directory.path().to_str().context("a path")?])?;
    let path = "/usr/local/lib/secure-callbacks/libsecure_callbacks.so";
    own.holds(path, &package("libsecure_callbacks-", ".so")?, &directory)
}

/// An image of the engine's, until it is dropped.
struct Image(String);

impl Image {
    /// It is for this machine, and has the file.
    fn holds(&self, path: &str, file: &Path, directory: &Directory) -> Result<()> {
        let container = docker(["create", &self.0, "nothing-runs-in-it"])?;
        let copied = directory.path().join("copied");
        let copying = docker(["cp", &format!("{container}:{path}"), copied.to_str().context("a path")?]);
        docker(["rm", &container])?;
        copying?;
        ensure!(std::fs::read(&copied)? == std::fs::read(file)?, "{}: not the file that is packed", self.0);
        let platform = docker(["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", &self.0])?;
        ensure!(platform == "linux/amd64", "{}: {platform}", self.0);
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = docker(["image", "rm", &self.0]);
    }
}

fn docker<const N: usize>(arguments: [&str; N]) -> Result<String> {
    let said = run(Command::new("docker").args(arguments))?.stdout;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}
