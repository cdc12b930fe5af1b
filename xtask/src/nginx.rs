//! An nginx to build the module for: the system's own, one of another suite of Debian's (`suite.rs`), or one compiled from
//! the sources that a crate carries. A module loads only into the exact version whose headers it was built against.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use secure_callbacks_proxies::{Proxy, Source};

use crate::sh::{self, Cmd, Result};

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
    /// The one that this entry is about. An error: it is not there, and only it can say what it is.
    pub(crate) fn of(proxy: &Proxy) -> Result<Self> {
        let (version, stamp) = match &proxy.source {
            Source::Crate { .. } => (proxy.version.clone(), CONFIGURE_FLAGS.join(" ")),
            _ => asked(&proxy.program(&sh::target()))?,
        };
        let home = match &proxy.source {
            // The system's may be another version than the tests expect.
            Source::System { .. } => proxy.home(&sh::target()).with_file_name(format!("nginx-{version}")),
            _ => proxy.home(&sh::target()),
        };
        Ok(Self { version, home, stamp })
    }

    /// What the build of a module needs in its environment.
    pub(crate) fn module_env(&self) -> [(&'static str, PathBuf); 2] {
        [("NGINX_SOURCE_DIR", self.beside("src")), ("NGINX_BUILD_DIR", self.beside("objs"))]
    }

    /// The file that names its binary interface, as Debian's `nginx-dev` has it.
    pub(crate) fn interface(&self) -> PathBuf {
        self.beside("src").join("debian/libnginx-mod.abisubstvars")
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

    /// Compiles and installs it from the sources that are in `source`.
    pub(crate) fn compile(&self, source: &Path) -> Result<()> {
        self.copy_source(source)?;
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

/// Lets cargo download a version of the crate `nginx-src`, and asks where nginx's sources in it lie.
pub(crate) fn crate_source(version: &str, sha256: &str) -> Result<PathBuf> {
    // Cargo downloads for a package alone: this one is empty, and a workspace of its own, so that what the crate depends
    // on stays out of ours.
    let package = sh::target().join(format!("tools/nginx-src-{version}"));
    remove(&package)?;
    let write = |name: &str, text: &str| {
        let file = package.join(name);
        let written = fs::create_dir_all(&package).and_then(|()| fs::write(&file, text));
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))
    };
    write("lib.rs", "")?;
    write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"nginx-source\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n\
             [dependencies]\nnginx-src = \"={version}\"\n[workspace]\n"
        ),
    )?;
    let host = Cmd::new("rustc").args(["--print", "host-tuple"]).output()?;
    let metadata = Cmd::cargo(["metadata", "--quiet", "--format-version", "1", "--filter-platform"])
        .arg(host.trim())
        .arg("--manifest-path")
        .arg(package.join("Cargo.toml"))
        .output()?;
    // Cargo has compared what it downloaded with the checksum that it noted.
    let lock = package.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(|error| format!("cannot read {}: {error}", lock.display()))?;
    let entry = lock.split("[[package]]").find(|entry| entry.contains("name = \"nginx-src\""));
    if !entry.is_some_and(|entry| entry.contains(&format!("\"{sha256}\""))) {
        let entry = entry.unwrap_or_default().trim();
        return Err(format!(
            "the crate nginx-src {version} is not the one whose sha256 proxies.toml has, but:\n{entry}"
        ));
    }
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
