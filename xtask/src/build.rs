//! The artifacts, into `target/dist`, from where tests, the demo and the examples take them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use secure_callbacks_proxies::{self as proxies, Artifact, Product, Proxy};

use crate::jobs::{self, Job};
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

/// An artifact to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The proxy-wasm filter, one for every Envoy: `target/dist/secure_callbacks.wasm`.
    Filter,
    /// The dynamic module for Envoy, one for every release that runs it: `target/dist/libsecure_callbacks.so`.
    EnvoyModule,
    /// The dynamic module for one nginx: `target/dist/nginx-VERSION/ngx_http_secure_callbacks_module.so`.
    NginxModule(&'static Proxy),
}

/// Gets what these need and builds them side by side. `others` are done at the same time, once the system's packages are
/// there.
pub(crate) fn together<'a>(builds: &[Build], others: Vec<Job<'a>>) -> Result<()> {
    let shared = [Part::Wasm, Part::Packages].into_iter();
    let shared: Vec<_> = shared.filter(|part| builds.iter().any(|build| build.needs().contains(part))).collect();
    setup::require(&shared)?;
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
            Artifact::EnvoyModule => Self::EnvoyModule,
            Artifact::NginxModule => Self::NginxModule(proxy),
        })
    }

    /// Every artifact that there is, each once.
    pub(crate) fn all() -> Vec<Self> {
        let mut builds = Vec::new();
        for build in proxies::all().iter().flat_map(Self::of) {
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

    /// What it runs in.
    pub(crate) fn product(self) -> Product {
        match self {
            Self::Filter | Self::EnvoyModule => Product::Envoy,
            Self::NginxModule(_) => Product::Nginx,
        }
    }

    /// What it is called in the run of tests.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Filter => "the filter".into(),
            Self::EnvoyModule => "Envoy's module".into(),
            Self::NginxModule(proxy) => format!("the module for {proxy}"),
        }
    }

    /// What has to be there. A build needs no Envoy to run.
    pub(crate) fn needs(self) -> Vec<Part> {
        match self {
            Self::Filter => vec![Part::Wasm],
            Self::EnvoyModule => Vec::new(),
            Self::NginxModule(proxy) => vec![Part::Packages, Part::Proxy(proxy)],
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
                Cmd::cargo(["build", "-p", "secure-callbacks-envoy-wasm", "--release", "--target", WASM_TARGET])
                    .arg("--target-dir")
                    .arg(target)
                    .portable(target, &WASM_FLAGS)
                    .logged("build-filter")?;
                let made = target.join(WASM_TARGET).join("release/secure_callbacks_envoy_wasm.wasm");
                wasm::finish(&read(&made)?)?
            }
            Self::EnvoyModule => {
                // Other flags than the tools' are other builds of all they share: it has a directory of its own.
                let target = target.join("envoy-module");
                Cmd::cargo(["build", "--release", "-p", "secure-callbacks-envoy-module", "--target-dir"])
                    .arg(&target)
                    .portable(&target, &[])
                    .logged("build-envoy-module")?;
                read(&target.join("release/libsecure_callbacks_envoy_module.so"))?
            }
            Self::NginxModule(proxy) => {
                let nginx = Nginx::of(proxy)?;
                nginx_cargo(&nginx, "build", target).logged(&format!("build-nginx-{}", nginx.version))?;
                read(&nginx_target(&nginx, target).join("release/libsecure_callbacks_nginx.so"))?
            }
        };
        place(&module, &dist.join(self.file()?), start)
    }

    /// Its file in `target/dist`.
    pub(crate) fn file(self) -> Result<PathBuf> {
        Ok(match self {
            Self::Filter => "secure_callbacks.wasm".into(),
            Self::EnvoyModule => "libsecure_callbacks.so".into(),
            Self::NginxModule(proxy) => {
                Path::new(&format!("nginx-{}", Nginx::of(proxy)?.version)).join("ngx_http_secure_callbacks_module.so")
            }
        })
    }
}

/// A cargo command on the module. Each version of nginx has a target directory of its own, because the bindings differ;
/// checks share it and its profile with builds, so that the bindings are made once.
pub(crate) fn nginx_cargo(nginx: &Nginx, command: &str, target: &Path) -> Cmd {
    let target = nginx_target(nginx, target);
    let cargo = Cmd::cargo([command, "--release", "-p", "secure-callbacks-nginx", "--target-dir"]);
    let cargo = cargo.arg(&target).portable(&target, &[]);
    nginx.module_env().iter().fold(cargo, |cargo, (name, value)| cargo.env(name, value))
}

fn nginx_target(nginx: &Nginx, target: &Path) -> PathBuf {
    target.join(format!("nginx-{}", nginx.version))
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
