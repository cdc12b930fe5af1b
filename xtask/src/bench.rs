//! The benchmark: what only it needs, and how it is started. What it measures is in `tests/bench`.

use std::fs;
use std::path::PathBuf;

use secure_callbacks_proxies::{self as proxies, Machine};

use crate::build::{self, Build};
use crate::setup::{self, Part, WASM_TARGET};
use crate::sh::{self, Cmd, Result};

/// Debian's packages of the Lua and njs modules, with what they load. They are unpacked and not installed: the machine's
/// own nginx stays as it is.
const NGINX_MODULES: [&str; 9] = [
    "libnginx-mod-http-js",
    "libnginx-mod-http-lua",
    "libnginx-mod-http-ndk",
    "libluajit2-5.1-2",
    "libluajit2-5.1-common",
    "libpcre3",
    "lua-cjson",
    "lua-resty-core",
    "lua-resty-lrucache",
];

/// The Python application: PyJWT, and the server that is known as the fast one.
const PYTHON_PACKAGES: [&str; 4] = ["PyJWT==2.15.1", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0"];

/// Sets up, builds and runs.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let envoy = Part::Proxy(proxies::envoy()?);
    let builds = [Build::shown(), vec![Build::EnvoyModule(Machine::This)]].concat();
    build::together(&builds, vec![Box::new(move || setup::require(&[envoy]))])?;
    // Rows that need these are named as skipped without them.
    for (title, there, get) in [
        ("Debian's Lua and njs modules for nginx", modules().join(STAMP), unpack_modules as fn() -> Result<()>),
        ("a Python environment with PyJWT", python().join(STAMP), make_python),
    ] {
        let wanted = stamp();
        if fs::read_to_string(&there).is_ok_and(|found| found == wanted) {
            println!("[bench] {title}: there");
            continue;
        }
        println!("[bench] {title}: getting it");
        sh::flush();
        match get().and_then(|()| fs::write(&there, wanted).map_err(|error| error.to_string())) {
            Ok(()) => println!("      done"),
            Err(problem) => println!("      not to be had, its rows will be skipped: {problem}"),
        }
    }
    build_filters()?;
    Cmd::cargo(["run", "--quiet", "--release", "-p", "secure-callbacks-bench", "--"]).args(arguments).shown()
}

/// Written last into what was made, so that an interrupted setup starts over.
const STAMP: &str = ".complete";

fn stamp() -> String {
    [NGINX_MODULES.as_slice(), &PYTHON_PACKAGES].concat().join("\n")
}

fn modules() -> PathBuf {
    sh::target().join("tools/bench-nginx")
}

fn python() -> PathBuf {
    sh::target().join("tools/bench-python")
}

fn unpack_modules() -> Result<()> {
    const UNPACK: &str = r#"
set -e
rm -rf "$1"
mkdir -p "$1/packages"
cd "$1/packages"
shift
apt-get download "$@"
for package in *.deb; do dpkg-deb -x "$package" ..; done
"#;
    Cmd::new("sh").args(["-c", UNPACK, "sh"]).arg(modules()).args(NGINX_MODULES).logged("setup-bench-nginx")
}

fn make_python() -> Result<()> {
    Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(python()).logged("setup-bench-python-venv")?;
    Cmd::new(python().join("bin/python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
        .args(PYTHON_PACKAGES)
        .logged("setup-bench-python")
}

/// The filters that check nothing, into `target/dist/bench_filters.wasm`.
fn build_filters() -> Result<()> {
    Cmd::cargo(["build", "--release", "-p", "secure-callbacks-bench-filters", "--target", WASM_TARGET]).shown()?;
    let made = sh::cargo_target().join(WASM_TARGET).join("release/secure_callbacks_bench_filters.wasm");
    let place = build::dist().join("bench_filters.wasm");
    fs::copy(&made, &place).map_err(|error| format!("cannot copy {}: {error}", made.display()))?;
    Ok(())
}
