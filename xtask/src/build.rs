//! The artifacts, into `target/dist`, from where tests, the demo and the examples take them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use secure_callbacks_proxies::{self as proxies, Artifact, Machine, Product, Proxy, Source};

use crate::cross;
use crate::jobs::{self, Job};
use crate::nginx::Nginx;
use crate::setup::{self, Part, WASM_TARGET};
use crate::sh::{self, Cmd, Result};
use crate::wasm;
use crate::zig;

/// SHA-256 takes most of the filter's time, and `sha2` has it in the sandbox's vector instructions too: a tenth faster in Envoy 1.40.
/// The names of functions are 70 KB of the module; a panic is logged with its place in the source all the same.
/// LLVM puts functions into one another up to a weight of 250 unless told otherwise; up to 100 is as fast and 23 KB less.
/// (`.cargo/config.toml` has all but the names for other builds: what it says for a target gives way to flags given here.)
const WASM_FLAGS: [&str; 6] =
    ["-C", "target-feature=+simd128", "-C", "llvm-args=-inline-threshold=100", "-C", "strip=symbols"];

const NGINX_CRATE: &str = "secure-callbacks-nginx";

/// An artifact to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The proxy-wasm filter, one for every Envoy: `target/dist/secure_callbacks.wasm`.
    Filter,
    /// The dynamic module for Envoy, one for every release that runs it: `target/dist/libsecure_callbacks.so`, or in
    /// `target/dist/aarch64`.
    EnvoyModule(Machine),
    /// The dynamic module for one nginx: `target/dist/nginx-VERSION/ngx_http_secure_callbacks_module.so`, or in
    /// `target/dist/aarch64`; for somebody's own in `own-nginx-VERSION`.
    NginxModule(&'static Proxy),
}

/// Gets what these need and builds them side by side. `others` are done at the same time, once the system's packages are
/// there.
pub(crate) fn together<'a>(builds: &[Build], others: Vec<Job<'a>>) -> Result<()> {
    let shared = [Part::Wasm, Part::Compilers, Part::Packages, Part::Aarch64].into_iter();
    let shared: Vec<_> = shared.filter(|part| builds.iter().any(|build| build.needs().contains(part))).collect();
    setup::require(&shared)?;
    // Without these there is nothing to build at all.
    if !shared.iter().all(|part| part.is_there()) {
        return Err("what it takes to build this is out of reach from here".into());
    }
    let mut all: Vec<Job<'a>> = others;
    for build in builds.iter().copied() {
        let own: Vec<_> = build.needs().into_iter().filter(|part| !shared.contains(part)).collect();
        all.push(Box::new(move || {
            setup::require(&own)?;
            // What is out of reach was told so and is left out.
            if own.iter().all(|part| part.is_there()) { build.run() } else { Ok(()) }
        }));
    }
    jobs::together(all)
}

impl Build {
    /// Every artifact that this proxy takes.
    pub(crate) fn of(proxy: &'static Proxy) -> impl Iterator<Item = Self> {
        proxy.artifacts.iter().map(move |artifact| match artifact {
            Artifact::Filter => Self::Filter,
            Artifact::EnvoyModule => Self::EnvoyModule(proxy.machine),
            Artifact::NginxModule => Self::NginxModule(proxy),
        })
    }

    /// Every artifact that there is for a machine, each once.
    pub(crate) fn all(machine: Machine) -> Vec<Self> {
        let mut builds = Vec::new();
        for build in proxies::on(machine).iter().flat_map(Self::of) {
            if !builds.contains(&build) {
                builds.push(build);
            }
        }
        builds
    }

    /// What the demo and the containers show.
    pub(crate) fn shown() -> Vec<Self> {
        let proxies = proxies::envoy().into_iter().chain(proxies::system_nginx());
        proxies.flat_map(Self::of).collect()
    }

    /// What it runs on.
    pub(crate) fn machine(self) -> Machine {
        match self {
            Self::Filter => Machine::This,
            Self::EnvoyModule(machine) => machine,
            Self::NginxModule(proxy) => proxy.machine,
        }
    }

    /// What it runs in.
    pub(crate) fn product(self) -> Product {
        match self {
            Self::Filter | Self::EnvoyModule(_) => Product::Envoy,
            Self::NginxModule(_) => Product::Nginx,
        }
    }

    /// What it is called in the run of tests.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Filter => "the filter".into(),
            Self::EnvoyModule(Machine::This) => "Envoy's module".into(),
            Self::EnvoyModule(Machine::Aarch64) => "Envoy's module for aarch64".into(),
            Self::NginxModule(proxy) => format!("the module for {proxy}"),
        }
    }

    /// What has to be there. A build needs no Envoy to run.
    pub(crate) fn needs(self) -> Vec<Part> {
        match self {
            Self::Filter => vec![Part::Wasm],
            Self::EnvoyModule(Machine::This) => vec![Part::Packages, Part::Zig],
            Self::EnvoyModule(Machine::Aarch64) => vec![Part::Packages, Part::Zig, Part::Aarch64],
            // What is not the system's own may be in the way of the system's nginx.
            Self::NginxModule(proxy) if matches!(proxy.source, Source::Own { .. }) => {
                vec![Part::Compilers, Part::Proxy(proxy)]
            }
            Self::NginxModule(proxy) if proxy.machine == Machine::This => vec![Part::Packages, Part::Proxy(proxy)],
            Self::NginxModule(proxy) => vec![Part::Packages, Part::Aarch64, Part::Proxy(proxy)],
        }
    }

    /// Builds it, where what it needs is there.
    pub(crate) fn run(self) -> Result<()> {
        self.run_into(&sh::cargo_target(), &dist())
    }

    /// Builds it in the directory `target` and puts it into `dist`.
    pub(crate) fn run_into(self, target: &Path, dist: &Path) -> Result<()> {
        let start = Instant::now();
        let module = match self {
            Self::Filter => {
                Cmd::cargo(["build", "--release", "--target", WASM_TARGET, "-p", self.krate(), "--target-dir"])
                    .arg(target)
                    .portable(target, &WASM_FLAGS)
                    .logged("build-filter")?;
                let made = target.join(WASM_TARGET).join("release/secure_callbacks_envoy_wasm.wasm");
                wasm::finish(&read(&made)?)?
            }
            Self::EnvoyModule(machine) => {
                // Other flags than the tools' are other builds of all they share: it has a directory of its own.
                let name = format!("envoy-module{}", machine.suffix());
                let target = target.join(&name);
                zig::cargo_build(machine)
                    .args(["--release", "-p", self.krate(), "--target-dir"])
                    .arg(&target)
                    .portable(&target, &[])
                    .logged(&format!("build-{name}"))?;
                read(&target.join(zig::target(machine)).join("release/libsecure_callbacks_envoy_module.so"))?
            }
            Self::NginxModule(proxy) => {
                let nginx = Nginx::of(proxy)?;
                nginx_cargo(&nginx, "build", target).logged(&format!("build-{}", nginx.name))?;
                let made = cross::release(nginx.machine, &nginx_target(&nginx, target));
                read(&made.join("libsecure_callbacks_nginx.so"))?
            }
        };
        place(&module, &dist.join(self.file()?), start)
    }

    /// The crate that it is made of.
    pub(crate) fn krate(self) -> &'static str {
        match self {
            Self::Filter => "secure-callbacks-envoy-wasm",
            Self::EnvoyModule(_) => "secure-callbacks-envoy-module",
            Self::NginxModule(_) => NGINX_CRATE,
        }
    }

    /// Its file in `target/dist`.
    pub(crate) fn file(self) -> Result<PathBuf> {
        Ok(match self {
            Self::Filter => "secure_callbacks.wasm".into(),
            Self::EnvoyModule(machine) => Path::new(machine.folder()).join("libsecure_callbacks.so"),
            Self::NginxModule(proxy) => {
                let directory = proxy.directory(&Nginx::of(proxy)?.version);
                Path::new(proxy.machine.folder()).join(directory).join("ngx_http_secure_callbacks_module.so")
            }
        })
    }
}

/// A cargo command on the module. Each version of nginx has a target directory of its own, because the bindings differ;
/// checks share it and its profile with builds, so that the bindings are made once. All of somebody's own share one.
pub(crate) fn nginx_cargo(nginx: &Nginx, command: &str, target: &Path) -> Cmd {
    let target = nginx_target(nginx, target);
    let cargo = Cmd::cargo([command, "--release", "-p", NGINX_CRATE, "--target-dir"]);
    let cargo = cross::cargo(nginx.machine, cargo.arg(&target)).portable(&target, &[]);
    nginx.module_env().iter().fold(cargo, |cargo, (name, value)| cargo.env(name, value))
}

fn nginx_target(nginx: &Nginx, target: &Path) -> PathBuf {
    target.join(if nginx.is_own { "own-nginx" } else { &nginx.name })
}

fn read(made: &Path) -> Result<Vec<u8>> {
    fs::read(made).map_err(|error| format!("cannot read {}: {error}", made.display()))
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
    let (size, time) = (module.len().div_ceil(1024), start.elapsed().as_secs_f32());
    jobs::say(&format!("{}: {size} KiB, {time:.1} s", sh::short(artifact)));
    Ok(())
}
