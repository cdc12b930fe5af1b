//! Zig, which links Envoy's module: against the interface of an older C library than this machine's, and with an unwinder
//! of its own. Cargo alone would take this Debian's, and the module needed a newer glibc than Envoy does, and libgcc,
//! which Envoy's images without a distribution do not have.

use std::env;
use std::env::consts::ARCH;
use std::path::PathBuf;

use secure_callbacks_proxies::Machine;
use serde_json::{Value, json};

use crate::cross;
use crate::python;
use crate::sh::{self, Cmd, Result};

/// The packages of Python's index: the compiler, and what puts it in the linker's place.
const ZIG: &str = "ziglang==0.17.1";
const ZIGBUILD: &str = "cargo-zigbuild==0.24.1";

/// What the oldest Envoy that runs the module needs of glibc. The tests of the packages compare.
const GLIBC: &str = "2.30";

/// `None`: it is there. Otherwise what is missing, in words.
pub(crate) fn missing() -> Option<String> {
    let is_there = Cmd::new(home().join("bin/cargo-zigbuild")).arg("--version").output();
    is_there.is_err().then(|| "Zig".into())
}

/// Gets it.
pub(crate) fn install() -> Result<()> {
    python::install(&home(), &[ZIG.into(), ZIGBUILD.into()])
}

/// Named after the versions: others are another directory.
fn home() -> PathBuf {
    sh::target().join("tools").join(format!("{ZIG}-{ZIGBUILD}").replace("==", "-"))
}

/// What it compiles for.
pub(crate) fn target(machine: Machine) -> String {
    match machine {
        Machine::This => format!("{ARCH}-unknown-linux-gnu"),
        Machine::Aarch64 => cross::TARGET.into(),
    }
}

/// What of it is in the module, for the list of what is inside.
pub(crate) fn component() -> Value {
    let version = ZIG.rsplit('=').next();
    json!({
        "bom-ref": "ziglang", "name": "ziglang", "type": "library", "version": version,
        // Each file of the latter may be linked into anything.
        "description": "LLVM's libunwind and the static part of glibc, as Zig carries them",
        "licenses": [{ "expression": "Apache-2.0 WITH LLVM-exception AND LGPL-2.1-or-later" }],
        "purl": purl(ZIG),
    })
}

/// Both packages, as package URLs.
pub(crate) fn purls() -> [String; 2] {
    [ZIG, ZIGBUILD].map(purl)
}

fn purl(package: &str) -> String {
    format!("pkg:pypi/{}", package.replace("==", "@"))
}

/// `cargo build`, linked by it.
pub(crate) fn cargo_build(machine: Machine) -> Cmd {
    let own = home();
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [own.join("bin")].into_iter().chain(env::split_paths(&path));
    Cmd::cargo(["zigbuild", "--target"])
        .arg(format!("{}.{GLIBC}", target(machine)))
        .env("PATH", env::join_paths(paths).unwrap_or(path))
        // What it compiles of its own is kept with it.
        .env("XDG_CACHE_HOME", own.join("cache"))
}
