//! The versions of nginx the module is built for: the system's own, a newer one compiled from the sources that a crate
//! carries, and the newest that Debian has packaged (`suite.rs`). A module loads only into the exact version whose headers it was built against.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use crate::sh::{self, Cmd, Result};
use crate::suite;

/// The version compiled here; the one that `xtask/nginx-source` pins.
pub(crate) const BUILT_VERSION: &str = "1.28.3";
/// Where Debian's `nginx-dev` puts headers and `configure`.
pub(crate) const SYSTEM_SOURCE: &str = "/usr/share/nginx/src";

/// What a proxy for callbacks plausibly has. `--with-compat` makes the module's signature independent of the rest.
const CONFIGURE_FLAGS: [&str; 8] = [
    "--with-compat",
    "--with-threads",
    "--with-http_ssl_module",
    "--with-http_v2_module",
    "--with-http_realip_module",
    "--with-http_auth_request_module",
    "--with-http_dav_module",
    "--with-http_stub_status_module",
];

/// One nginx: its version, and where its headers are, ready to build a module against.
pub(crate) struct Nginx {
    /// As nginx itself says it, such as `1.22.1`.
    pub(crate) version: String,
    /// What all its directories here begin with.
    home: PathBuf,
    /// What must be the same for a configured tree to be used again.
    stamp: String,
}

impl Nginx {
    /// The nginx of the system's packages.
    pub(crate) fn system() -> Result<Self> {
        let (version, stamp) = asked(Path::new(system_binary()))?;
        Ok(Self { home: home(&version), version, stamp })
    }

    /// The nginx of another suite of Debian's, once it is unpacked.
    pub(crate) fn of_suite() -> Result<Self> {
        let (version, stamp) = asked(&suite::program())?;
        Ok(Self { home: suite::home(), version, stamp })
    }

    /// The nginx that is compiled here.
    pub(crate) fn built() -> Self {
        Self { version: BUILT_VERSION.into(), home: home(BUILT_VERSION), stamp: CONFIGURE_FLAGS.join(" ") }
    }

    /// What the build of a module needs in its environment.
    pub(crate) fn module_env(&self) -> [(&'static str, PathBuf); 2] {
        [("NGINX_SOURCE_DIR", self.beside("src")), ("NGINX_BUILD_DIR", self.beside("objs"))]
    }

    /// `None`: it is ready. The stamp is written last, so an interrupted setup starts over.
    pub(crate) fn missing(&self) -> Option<String> {
        let found = fs::read_to_string(self.stamp_file()).unwrap_or_default();
        // The tree holds absolute paths: after a move of the clone it is of no use.
        (found != self.stamp_text()).then(|| format!("nginx {}", self.version))
    }

    /// Copies the packaged headers, which are in `source`, and configures them as the packaged nginx was.
    pub(crate) fn configure_headers(&self, source: &Path) -> Result<()> {
        self.copy_source(source)?;
        Cmd::new("bash")
            .args(["-c", r#". ./conf_flags && exec ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$1""#, "bash"])
            .arg(self.beside("objs"))
            .dir(self.beside("src"))
            .logged(&format!("setup-nginx-{}", self.version))?;
        self.finish()
    }

    /// Compiles and installs nginx from the sources that the pinned crate carries.
    pub(crate) fn compile(&self) -> Result<()> {
        self.copy_source(&crate_source()?)?;
        remove(&self.home)?;
        let log = |step: &str| format!("setup-nginx-{}-{step}", self.version);
        let source = self.beside("src");
        Cmd::new("sh")
            .arg("auto/configure")
            .arg(format!("--prefix={}", self.home.display()))
            .arg(format!("--builddir={}", self.beside("objs").display()))
            .args(CONFIGURE_FLAGS)
            .dir(&source)
            .logged(&log("configure"))?;
        let jobs = available_parallelism().map_or(1, usize::from);
        Cmd::new("make").arg(format!("-j{jobs}")).dir(&source).logged(&log("make"))?;
        Cmd::new("make").arg("install").dir(&source).logged(&log("install"))?;
        self.finish()
    }

    fn copy_source(&self, from: &Path) -> Result<()> {
        for directory in ["src", "objs"] {
            remove(&self.beside(directory))?;
        }
        let tools = sh::target().join("tools");
        fs::create_dir_all(&tools).map_err(|error| format!("cannot create {}: {error}", tools.display()))?;
        Cmd::new("cp").args(["-R", "--"]).args([from, &self.beside("src")]).shown()
    }

    fn finish(&self) -> Result<()> {
        let file = self.stamp_file();
        fs::write(&file, self.stamp_text()).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    fn stamp_file(&self) -> PathBuf {
        self.beside("objs").join("configured-as")
    }

    fn stamp_text(&self) -> String {
        format!("{}\n{}\n", self.home.display(), self.stamp)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.home.file_name().unwrap_or_default().to_owned();
        name.push(format!("-{suffix}"));
        self.home.with_file_name(name)
    }
}

/// The version of a program, and all that it says to `-V`: the flags it was configured with.
fn asked(program: &Path) -> Result<(String, String)> {
    let said = Cmd::new(program).arg("-V").output()?;
    let version = said.lines().find_map(|line| line.strip_prefix("nginx version: nginx/"));
    let version = version.and_then(|rest| rest.split_whitespace().next());
    let version = version.ok_or_else(|| format!("nginx did not say its version but:\n{said}"))?;
    Ok((version.into(), said.clone()))
}

fn home(version: &str) -> PathBuf {
    sh::target().join(format!("tools/nginx-{version}"))
}

fn system_binary() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

/// Lets cargo download the crate, checked against our lock file, and asks where it lies.
fn crate_source() -> Result<PathBuf> {
    let host = Cmd::new("rustc").args(["--print", "host-tuple"]).output()?;
    let metadata = Cmd::cargo(["metadata", "--quiet", "--locked", "--format-version", "1", "--filter-platform"])
        .arg(host.trim())
        .args(["--manifest-path", "xtask/nginx-source/Cargo.toml"])
        .output()?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| format!("`cargo metadata`: {error}"))?;
    let packages = metadata.get("packages").and_then(|list| list.as_array()).into_iter().flatten();
    let manifest = packages
        .filter(|package| package.get("name").and_then(|name| name.as_str()) == Some("nginx-src"))
        .find_map(|package| package.get("manifest_path")?.as_str());
    let directory = manifest.and_then(|manifest| Path::new(manifest).parent());
    directory.map(|directory| directory.join("nginx")).ok_or_else(|| "`cargo metadata` names no nginx-src".into())
}

/// Removes a directory, if it is there.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", directory.display()))
        }
        _ => Ok(()),
    }
}
