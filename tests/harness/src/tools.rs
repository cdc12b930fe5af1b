//! Where the proxies and the built filters are. All of it is put there by `cargo xtask build`.
use anyhow::{Context, Result, bail};
use secure_callbacks_proxies::{self as proxies, Product, Proxy, Source};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A proxy and its version: what the suites run every row against. `proxies.toml` says which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// The Envoy of this run: there is one at a time.
    Envoy,
    /// An nginx.
    Nginx(&'static Version),
}

/// An entry of the file, and its name in this run.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    proxy: &'static Proxy,
    name: String,
}

/// Every entry.
static VERSIONS: LazyLock<Vec<Version>> = LazyLock::new(|| {
    proxies::check().unwrap_or_else(|problem| panic!("{problem}"));
    proxies::all().iter().map(|proxy| Version { proxy, name: name(proxy) }).collect()
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
        let kind = |version: &'static Version| match version.proxy.product {
            Product::Envoy => Self::Envoy,
            Product::Nginx => Self::Nginx(version),
        };
        all.map(kind).collect()
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
        &self.version().name
    }

    /// Whether it is one of the nginx versions.
    #[must_use]
    pub fn is_nginx(self) -> bool {
        self != Self::Envoy
    }

    fn version(self) -> &'static Version {
        let is_envoy = |proxy: &&Proxy| proxy.product == Product::Envoy;
        match self {
            Self::Envoy => version(chosen().filter(is_envoy).unwrap_or_else(|| proxies::envoy().unwrap())),
            Self::Nginx(version) => version,
        }
    }
}

fn version(proxy: &Proxy) -> &'static Version {
    VERSIONS.iter().find(|version| version.proxy == proxy).unwrap()
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
        ProxyKind::Envoy => ("--version", format!("/{}/", kind.proxy().version)),
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
