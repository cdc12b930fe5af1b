//! Where the proxies and the built filters are. All of it is put there by `cargo xtask build`.
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The version of Envoy that is run unless [`ENVOY_VARIABLE`] names another.
const ENVOY: &str = "1.40";

/// Names the version of Envoy to run: `1.36.4` is the one that `cargo xtask` put into `target/tools/envoy-1.36.4`.
const ENVOY_VARIABLE: &str = "SECURE_CALLBACKS_ENVOY";

/// Names a suite of Debian's whose nginx, which `cargo xtask` put into `target/tools/nginx-SUITE`, is run instead of the
/// newer of the two.
const NGINX_VARIABLE: &str = "SECURE_CALLBACKS_NGINX";

/// A proxy and its version: what the suites run every row against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProxyKind {
    /// Envoy, from `target/tools`: 1.40, or what `SECURE_CALLBACKS_ENVOY` names.
    Envoy,
    /// The same Envoy with the dynamic module.
    EnvoyModule,
    /// Debian's own nginx, 1.22.1.
    NginxDebian,
    /// nginx 1.28.3, from `target/tools`, or that of the suite that `SECURE_CALLBACKS_NGINX` names.
    NginxStable,
}

impl ProxyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Envoy, Self::EnvoyModule, Self::NginxDebian, Self::NginxStable];
    /// The first of both proxies' hosts alone: those that the examples and the documents are about.
    pub const WITHOUT_MODULE: [Self; 3] = [Self::Envoy, Self::NginxDebian, Self::NginxStable];
    /// Both versions of nginx.
    pub const NGINX: [Self; 2] = [Self::NginxDebian, Self::NginxStable];

    /// The name that tests carry: product and version.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Envoy => envoy_name(),
            Self::EnvoyModule => envoy_module_name(),
            Self::NginxDebian => "nginx-1.22.1",
            Self::NginxStable => newer_nginx_name(),
        }
    }

    /// The version that the program must report: the nginx module loads into exactly one.
    fn version(self) -> String {
        match self {
            Self::Envoy | Self::EnvoyModule => {
                other_envoy().map_or_else(|| format!("/{ENVOY}."), |version| format!("/{version}/"))
            }
            Self::NginxDebian => "nginx/1.22.1".into(),
            Self::NginxStable => newer_nginx_name().replace("nginx-", "nginx/"),
        }
    }

    /// Whether it is one of the nginx versions.
    #[must_use]
    pub fn is_nginx(self) -> bool {
        matches!(self, Self::NginxDebian | Self::NginxStable)
    }

    /// Whether it tells a callback that is on its way from one that was taken.
    #[must_use]
    pub fn tells_what_is_on_its_way(self) -> bool {
        self != Self::Envoy
    }
}

/// The version of Envoy that is asked for, where it is not [`ENVOY`].
fn other_envoy() -> Option<String> {
    std::env::var(ENVOY_VARIABLE).ok().filter(|version| !version.is_empty())
}

/// Whether the Envoy that is run can run the module.
#[must_use]
pub fn envoy_runs_modules() -> bool {
    !other_envoy().is_some_and(|version| version.starts_with("1.36.") || version.starts_with("1.37."))
}

fn envoy_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("envoy-{}", other_envoy().as_deref().unwrap_or(ENVOY)))
}

fn envoy_module_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| envoy_name().replace("envoy-", "envoy-module-"))
}

/// The suite whose nginx is asked for, where that is not the one that is compiled here.
fn other_nginx() -> Option<String> {
    std::env::var(NGINX_VARIABLE).ok().filter(|suite| !suite.is_empty())
}

fn newer_nginx() -> PathBuf {
    let tools = target().join("tools");
    other_nginx()
        .map_or_else(|| tools.join("nginx-1.28.3/sbin/nginx"), |suite| tools.join(format!("nginx-{suite}/nginx")))
}

/// The version of a suite's nginx is what that says: it moves.
fn newer_nginx_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let Some(suite) = other_nginx() else { return "nginx-1.28.3".into() };
        let said = Command::new(newer_nginx()).arg("-v").output().map(|output| output.stderr).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let version = said.split("nginx/").nth(1).and_then(|rest| rest.split_whitespace().next());
        format!("nginx-{}", version.unwrap_or(&suite))
    })
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
    let (path, version_flag) = match kind {
        ProxyKind::Envoy | ProxyKind::EnvoyModule => {
            let home = other_envoy().map_or_else(|| "envoy".into(), |version| format!("envoy-{version}"));
            (target().join("tools").join(home).join("bin/envoy"), "--version")
        }
        ProxyKind::NginxDebian => (PathBuf::from("/usr/sbin/nginx"), "-v"),
        ProxyKind::NginxStable => (newer_nginx(), "-v"),
    };
    let output = Command::new(&path).arg(version_flag).output();
    let output =
        output.with_context(|| format!("no {} at {}: run `cargo xtask build`", kind.name(), path.display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if !said.contains(&kind.version()) {
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
