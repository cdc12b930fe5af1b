//! An nginx to build the module for: the system's own, one of another suite of Debian's (`suite.rs`), one compiled from
//! the sources that a crate carries, or somebody's own (`own.rs`). A module loads only into the exact version whose
//! headers it was built against.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use secure_callbacks_proxies::own::{self, Said};
use secure_callbacks_proxies::{Machine, Proxy, Source};

use crate::cross;
use crate::sh::{self, Cmd, Result};

/// Where Debian's `nginx-dev` puts headers and `configure`.
pub(crate) const SYSTEM_SOURCE: &str = "/usr/share/nginx/src";

/// What a proxy for callbacks plausibly has, nginx.org's too. `--with-compat` makes the module's signature independent of the rest.
const CONFIGURE_FLAGS: [&str; 9] = [
    "--with-compat",
    "--with-threads",
    "--with-http_ssl_module",
    "--with-http_v2_module",
    "--with-http_v3_module",
    "--with-http_realip_module",
    "--with-http_auth_request_module",
    "--with-http_dav_module",
    "--with-http_stub_status_module",
];

/// One nginx: its version, and where its headers are, ready to build a module against.
pub(crate) struct Nginx {
    /// As nginx itself says it, such as `1.22.1`.
    pub(crate) version: String,
    /// What it runs on.
    pub(crate) machine: Machine,
    /// As its proxy is called: `nginx-1.22.1`, `own-nginx-1.22.1`, and the machine if it is not this one.
    pub(crate) name: String,
    /// Whether it is somebody's own.
    pub(crate) is_own: bool,
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
            source => {
                let Said { version, text, .. } = own::ask(&proxy.program(&sh::target()))?;
                let given =
                    if let Source::Own { source: Some(given), .. } = source { given.as_path() } else { Path::new("") };
                (version, format!("{text}\n{}", given.display()))
            }
        };
        let is_own = matches!(proxy.source, Source::Own { .. });
        let name = proxy.name_as(&version);
        let home = match &proxy.source {
            // The system's may be another version than the tests expect.
            Source::System { .. } => proxy.home(&sh::target()).with_file_name(&name),
            _ => proxy.home(&sh::target()),
        };
        Ok(Self { version, machine: proxy.machine, name, is_own, home, stamp })
    }

    /// What the build of a module needs in its environment.
    pub(crate) fn module_env(&self) -> [(&'static str, PathBuf); 2] {
        [("NGINX_SOURCE_DIR", self.source()), ("NGINX_BUILD_DIR", self.objects())]
    }

    /// Its headers here, and `configure`.
    pub(crate) fn source(&self) -> PathBuf {
        self.beside("src")
    }

    /// What `configure` makes.
    pub(crate) fn objects(&self) -> PathBuf {
        self.beside("objs")
    }

    /// The file that names its binary interface, as Debian's `nginx-dev` has it.
    pub(crate) fn interface(&self) -> PathBuf {
        self.beside("src").join("debian/libnginx-mod.abisubstvars")
    }

    /// `None`: it is ready. The stamp is written last, so an interrupted setup starts over.
    pub(crate) fn missing(&self) -> Option<String> {
        let found = fs::read_to_string(self.stamp_file()).unwrap_or_default();
        // The tree holds absolute paths: after a move of the clone it is of no use.
        (found != self.stamp_text()).then(|| self.name.clone())
    }

    /// Copies the packaged headers, which are in `source`, and configures them as the packaged nginx was.
    pub(crate) fn configure_headers(&self, source: &Path) -> Result<()> {
        self.copy_source(source)?;
        cross::nginx(self.machine, Cmd::new("bash"))
            .args(["-c", r#". ./conf_flags && exec ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$1""#, "bash"])
            .arg(self.objects())
            .dir(self.source())
            .logged(&format!("setup-{}", self.name))?;
        self.finish()
    }

    /// Compiles and installs it from the sources that are in `source`.
    pub(crate) fn compile(&self, source: &Path) -> Result<()> {
        self.copy_source(source)?;
        remove(&self.home)?;
        compile(self.machine, &self.source(), &self.home, &self.objects(), &CONFIGURE_FLAGS)?;
        if self.machine != Machine::This {
            let program = self.home.join("sbin/nginx");
            cross::write_emulated(&self.home.join("nginx"), &cross::home().join("root"), &program)?;
        }
        self.finish()
    }

    /// Configures the sources that are in `source` with these flags.
    pub(crate) fn configure(&self, source: &Path, flags: &[&str]) -> Result<()> {
        self.copy_source(source)?;
        configure(self.machine, &self.source(), &self.objects(), flags, &format!("setup-{}", self.name))?;
        self.finish()
    }

    fn copy_source(&self, from: &Path) -> Result<()> {
        for directory in [self.source(), self.objects()] {
            remove(&directory)?;
        }
        let tools = sh::target().join("tools");
        fs::create_dir_all(&tools).map_err(|error| format!("cannot create {}: {error}", tools.display()))?;
        Cmd::new("cp").args(["-R", "--"]).args([from, &self.source()]).shown()
    }

    fn finish(&self) -> Result<()> {
        let file = self.stamp_file();
        fs::write(&file, self.stamp_text()).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    fn stamp_file(&self) -> PathBuf {
        self.objects().join("configured-as")
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

/// Compiles the sources in `source`, and installs them into `home`.
pub(crate) fn compile(machine: Machine, source: &Path, home: &Path, objects: &Path, flags: &[&str]) -> Result<()> {
    let name = home.file_name().unwrap_or_default().display();
    let log = |step: &str| format!("setup-{name}-{step}");
    let prefix = format!("--prefix={}", home.display());
    configure(machine, source, objects, &[&[prefix.as_str()], flags].concat(), &log("configure"))?;
    let jobs = available_parallelism().map_or(1, usize::from);
    let make = || cross::nginx(machine, Cmd::new("make")).dir(source);
    make().arg(format!("-j{jobs}")).logged(&log("make"))?;
    make().arg("install").logged(&log("install"))
}

/// A clone has `configure` below `auto`, a released archive and `nginx-dev` above it.
fn configure(machine: Machine, source: &Path, objects: &Path, flags: &[&str], log: &str) -> Result<()> {
    let script = if source.join("configure").is_file() { "./configure" } else { "auto/configure" };
    let objects = format!("--builddir={}", objects.display());
    cross::nginx(machine, Cmd::new("sh")).arg(script).args(flags).arg(objects).dir(source).logged(log)
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
