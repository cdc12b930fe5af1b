//! The proxies in containers: what goes into the images, and the program that runs them (`tests/containers`).

use std::fs;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies as proxies;

use crate::build::{self, Build};
use crate::setup::{self, Part};
use crate::sh::{self, Cmd, Result};

/// How many of the things found wrong are told again at the end.
const SHOWN_WRONG: usize = 13;

/// `None`: containers can be run here. Otherwise why not, in one line.
pub(crate) fn missing() -> Option<String> {
    if !sh::on_path("docker") {
        return Some("there is no Docker here (no program `docker`)".into());
    }
    if let Err(problem) = Cmd::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output() {
        let last = problem.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        return Some(format!("no Docker engine answers: {last}"));
    }
    let answers = |program: &str, words: &[&str]| Cmd::new(program).args(words).output().is_ok();
    if answers("docker", &["compose", "version"]) || answers("docker-compose", &["version"]) {
        return None;
    }
    Some("there is no Compose here: neither `docker compose` nor `docker-compose`".into())
}

/// What the images need.
pub(crate) fn needs() -> Vec<Part> {
    let envoy = proxies::envoy().into_iter().map(Part::Proxy);
    [Part::Packages].into_iter().chain(envoy).chain(Build::shown().into_iter().flat_map(Build::needs)).collect()
}

/// Gets and builds all that the images hold, into `target/docker`, one folder for each image.
pub(crate) fn set_up_and_stage() -> Result<()> {
    let envoy = Part::Proxy(proxies::envoy()?);
    build::together(&Build::shown(), vec![Box::new(move || setup::require(&[envoy]))])?;
    stage()
}

/// The demo, over mutual TLS.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    missing().map_or(Ok(()), Err)?;
    set_up_and_stage()?;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&[["demo"].as_slice(), &arguments].concat())
}

/// Fills `target/docker` from what is built already.
pub(crate) fn stage() -> Result<()> {
    let profile = "containers";
    Cmd::cargo(["build", "--profile", profile, "-p", "secure-callbacks-containers", "--bins"]).shown()?;
    let made = sh::cargo_target().join(profile);
    let dist = sh::target().join("dist");
    let nginx = proxies::system_nginx()?;
    let module = dist.join(nginx.name()).join("ngx_http_secure_callbacks_module.so");
    if !module.is_file() {
        let debian = proxies::debian()?;
        return Err(format!(
            "the images are of Debian's {debian}, whose nginx is {}: `cargo xtask build nginx` has to run where that is \
             the system's nginx",
            nginx.version
        ));
    }
    for (image, file) in [
        ("envoy", envoy_program()?),
        ("envoy", dist.join("secure_callbacks.wasm")),
        ("envoy-module", envoy_program()?),
        ("envoy-module", dist.join("libsecure_callbacks.so")),
        ("nginx", module),
        ("app", made.join("app")),
        ("sender", made.join("sender")),
    ] {
        place(&file, &sh::target().join("docker").join(image))?;
    }
    println!("target/docker: ready for `docker compose -f tests/docker/compose.yaml up --build`");
    Ok(())
}

/// Runs `containers` with these arguments. The error repeats what it found wrong, which may be far up the screen.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let mut wrong = String::new();
    let program = Cmd::new(sh::cargo_target().join("containers/containers")).args(arguments);
    let ended = program.lines(|line| {
        println!("{line}");
        sh::flush();
        let tells = line.starts_with("wrong: ") || line.starts_with("docker: ");
        if tells && wrong.lines().count() < SHOWN_WRONG {
            wrong.push_str(&format!("\n    {line}"));
        }
    });
    ended.map_err(|problem| problem + &wrong)
}

/// The Envoy inside the Python package: `bin/envoy` is only a script that starts it.
fn envoy_program() -> Result<PathBuf> {
    let libraries = proxies::envoy()?.home(&sh::target()).join("lib");
    let entries = fs::read_dir(&libraries).into_iter().flatten().flatten();
    let mut programs = entries.map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"));
    programs
        .find(|program| program.is_file())
        .ok_or_else(|| format!("there is no Envoy below {}", sh::short(&libraries)))
}

fn place(file: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(file.file_name().unwrap_or_default());
    let problem = |error: std::io::Error| format!("cannot copy {} to {}: {error}", sh::short(file), sh::short(&to));
    fs::create_dir_all(folder).map_err(problem)?;
    // Left alone where it is the same: the engine then takes the image's layer from its cache.
    let size = |path: &Path| fs::metadata(path).ok().map(|data| (data.len(), data.modified().ok()));
    if let (Some((size, time)), Some((old_size, old_time))) = (size(file), size(&to))
        && size == old_size
        && time <= old_time
    {
        return Ok(());
    }
    fs::copy(file, &to).map(drop).map_err(problem)?;
    // A package may keep its program without the right for others to run it; in the container nobody owns it.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(problem)
}
