//! The proxies in containers: what goes into the images, and the program that runs them (`tests/containers`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::Artifact;
use crate::setup::{self, Part};
use crate::sh::{self, Cmd, Result};

/// The version of nginx in the images' Debian, which is the one that the module has to be built for.
const IMAGE_NGINX: &str = "1.22.1";

/// What the images need: `SystemNginx` makes the module, `Envoy` the program.
const NEEDED: [Part; 4] = [Part::Wasm, Part::Packages, Part::Envoy, Part::SystemNginx];

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

/// Gets and builds all that the images hold, into `target/docker`, one folder for each image.
pub(crate) fn set_up_and_stage() -> Result<()> {
    setup::require(&NEEDED)?;
    Artifact::ALL.into_iter().try_for_each(Artifact::build)?;
    stage()
}

/// Fills `target/docker` from what is built already.
pub(crate) fn stage() -> Result<()> {
    let profile = "containers";
    Cmd::cargo(["build", "--profile", profile, "-p", "secure-callbacks-containers", "--bins"]).shown()?;
    let made = sh::cargo_target().join(profile);
    let dist = sh::target().join("dist");
    let module = dist.join(format!("nginx-{IMAGE_NGINX}/ngx_http_secure_callbacks_module.so"));
    if !module.is_file() {
        return Err(format!(
            "the images are Debian 12's, whose nginx is {IMAGE_NGINX}: `cargo xtask build nginx` has to run where that is \
             the system's nginx"
        ));
    }
    for (image, file) in [
        ("envoy", envoy_program()?),
        ("envoy", dist.join("secure_callbacks.wasm")),
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
    let libraries = sh::target().join("tools/envoy/lib");
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
