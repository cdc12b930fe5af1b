//! Where the proxies and the built filters are. All of it is put there by `cargo xtask build`.
use anyhow::{Context, Result, bail};
use secure_callbacks_proxies::{self as proxies, Artifact, Product, Proxy, Source};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A proxy and its version: what the suites run every row against. `proxies.toml` says which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// The Envoy of this run: there is one at a time.
    Envoy,
    /// The same Envoy with the dynamic module.
    EnvoyModule,
    /// An nginx.
    Nginx(&'static Version),
}

/// An entry of the file, and its name in this run.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    proxy: &'static Proxy,
    name: String,
    /// An Envoy's with the module in it.
    module_name: String,
}

/// Every entry.
static VERSIONS: LazyLock<Vec<Version>> = LazyLock::new(|| {
    proxies::check().unwrap_or_else(|problem| panic!("{problem}"));
    let version = |proxy| {
        let name = name(proxy);
        Version { proxy, module_name: name.replace("envoy-", "envoy-module-"), name }
    };
    proxies::all().iter().map(version).collect()
});

/// The version of a suite's nginx is what that says: it moves.
fn name(proxy: &Proxy) -> String {
    if !matches!(proxy.source, Source::Debian { .. }) {
        return proxy.name();
    }
    let said =
        Command::new(proxy.program(&target())).arg("-v").output().map(|output| output.stderr).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let version = said.split("nginx/").nth(1).and_then(|rest| rest.split_whitespace().next());
    version.map_or_else(|| proxy.name(), |version| format!("nginx-{version}"))
}

impl ProxyKind {
    /// All that this run is about: those that take every suite, or the one that `SECURE_CALLBACKS_PROXY` names.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let chosen = chosen();
        let all =
            VERSIONS.iter().filter(|version| chosen.map_or(version.proxy.suites.is_none(), |it| version.proxy == it));
        let kinds = |version: &'static Version| match version.proxy.product {
            Product::Envoy if version.proxy.takes(Artifact::EnvoyModule) => vec![Self::Envoy, Self::EnvoyModule],
            Product::Envoy => vec![Self::Envoy],
            Product::Nginx => vec![Self::Nginx(version)],
        };
        all.flat_map(kinds).collect()
    }

    /// Every nginx that the module is packed for.
    pub fn packed() -> impl Iterator<Item = Self> {
        VERSIONS.iter().filter(|version| version.proxy.package.is_some()).map(Self::Nginx)
    }

    /// The nginx of the system's packages.
    #[must_use]
    pub fn system_nginx() -> Self {
        Self::Nginx(version(proxies::system_nginx().unwrap()))
    }

    /// Its entry of the file.
    #[must_use]
    pub fn proxy(self) -> &'static Proxy {
        self.version().proxy
    }

    /// The name that tests carry: product and version.
    #[must_use]
    pub fn name(self) -> &'static str {
        let version = self.version();
        if self == Self::EnvoyModule { &version.module_name } else { &version.name }
    }

    /// Whether it is one of the nginx versions.
    #[must_use]
    pub fn is_nginx(self) -> bool {
        matches!(self, Self::Nginx(_))
    }

    /// Whether it tells a callback that is on its way from one that was taken.
    #[must_use]
    pub fn tells_what_is_on_its_way(self) -> bool {
        self != Self::Envoy
    }

    fn version(self) -> &'static Version {
        let is_envoy = |proxy: &&Proxy| proxy.product == Product::Envoy;
        match self {
            Self::Envoy | Self::EnvoyModule => {
                version(chosen().filter(is_envoy).unwrap_or_else(|| proxies::envoy().unwrap()))
            }
            Self::Nginx(version) => version,
        }
    }
}

fn version(proxy: &Proxy) -> &'static Version {
    VERSIONS.iter().find(|version| version.proxy == proxy).unwrap()
}

/// Whether this run is about an Envoy that can't run the module.
#[must_use]
pub fn envoy_is_too_old_for_the_module() -> bool {
    let all = ProxyKind::all();
    all.contains(&ProxyKind::Envoy) && !all.contains(&ProxyKind::EnvoyModule)
}

/// The one proxy to run, where one is named.
fn chosen() -> Option<&'static Proxy> {
    let name = std::env::var(proxies::VARIABLE).ok().filter(|name| !name.is_empty())?;
    Some(proxies::named(&name).unwrap_or_else(|problem| panic!("{}: {problem}", proxies::VARIABLE)))
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the harness is two folders below the root").to_path_buf()
}

/// `<root>/target`, whatever `CARGO_TARGET_DIR` says: the artifacts and tools have one fixed place.
#[must_use]
pub fn target() -> PathBuf {
    root().join("target")
}

/// One proxy's program and the filter that goes into it.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The proxy's executable.
    pub program: PathBuf,
    /// The Wasm module or the nginx module.
    pub filter: PathBuf,
}

/// The program alone, its version checked.
pub fn program(kind: ProxyKind) -> Result<PathBuf> {
    let path = kind.proxy().program(&target());
    // `/1.40.0/` among other things, or `nginx/1.22.1`.
    let (flag, version) = match kind {
        ProxyKind::Envoy | ProxyKind::EnvoyModule => ("--version", format!("/{}/", kind.proxy().version)),
        ProxyKind::Nginx(version) => ("-v", version.name.replace("nginx-", "nginx/")),
    };
    let output = Command::new(&path).arg(flag).output();
    let output =
        output.with_context(|| format!("no {} at {}: run `cargo xtask build`", kind.name(), path.display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if !said.contains(&version) {
        bail!("{} is not {}: it says {:?}", path.display(), kind.name(), said.trim());
    }
    Ok(path)
}

/// The program and the filter, or what is missing and how to get it.
pub fn find(kind: ProxyKind) -> Result<Tools> {
    let program = program(kind)?;
    let filter = match kind {
        ProxyKind::Envoy => target().join("dist/secure_callbacks.wasm"),
        ProxyKind::EnvoyModule => target().join("dist/libsecure_callbacks.so"),
        nginx => target().join("dist").join(nginx.name()).join("ngx_http_secure_callbacks_module.so"),
    };
    if !filter.is_file() {
        bail!("no filter for {} at {}: run `cargo xtask build`", kind.name(), filter.display());
    }
    Ok(Tools { program, filter })
}

/// Whether a suite may leave out what it can't find. Only where a person said so: elsewhere missing means failing.
#[must_use]
pub fn skipping_is_allowed() -> bool {
    std::env::var_os("SECURE_CALLBACKS_ALLOW_SKIP").is_some_and(|value| value == "1")
}
