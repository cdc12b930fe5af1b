//! Debian packages of the Nginx module: one for Debian's nginx, one for nginx.org's.

use std::path::{Path, PathBuf};

use super::release::{Release, packaging};
use super::sbom::Bom;
use super::tree::{self, Tree};
use crate::nginx::{Nginx, SYSTEM_SOURCE};
use crate::sh::{Cmd, Result};

/// The module's file.
pub(super) const MODULE: &str = "ngx_http_secure_callbacks_module.so";

/// A package.
pub(super) struct Deb {
    name: &'static str,
    version: String,
    nginx_version: String,
    /// The package that only the one nginx provides which the module can be loaded into.
    nginx: String,
    /// Where its control files are, in `packaging`.
    folder: &'static str,
    scripts: &'static [&'static str],
    /// The line that loads the module: its name in `folder`.
    switch: Option<&'static str>,
}

impl Deb {
    /// For the system's nginx. It names its binary interface and provides it as a package; so do its headers.
    pub(super) fn debian(release: &Release, nginx: &Nginx) -> Result<Self> {
        let variables = tree::read_text(&Path::new(SYSTEM_SOURCE).join("debian/libnginx-mod.abisubstvars"))?;
        let abi = variables.lines().find_map(|line| line.strip_prefix("nginx:abi="));
        Ok(Self {
            name: "libnginx-mod-http-secure-callbacks",
            version: format!("{}-{}", release.version, release.revision),
            nginx_version: nginx.version.clone(),
            nginx: abi.ok_or("nginx-dev does not name nginx's binary interface")?.into(),
            folder: "debian",
            scripts: &["postinst", "prerm", "postrm"],
            switch: Some("mod-http-secure-callbacks.conf"),
        })
    }

    /// For nginx.org's package of the other version. Numbered and bound to it as nginx.org's own modules are.
    pub(super) fn nginx_org(release: &Release, nginx: &Nginx) -> Result<Self> {
        let system = tree::read_text(Path::new("/etc/os-release"))?;
        let codename = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let codename = codename.ok_or("/etc/os-release names no VERSION_CODENAME")?;
        Ok(Self {
            name: "nginx-module-secure-callbacks",
            version: format!("{}+{}-{}~{codename}", nginx.version, release.version, release.revision),
            nginx_version: nginx.version.clone(),
            nginx: format!("nginx-r{}", nginx.version),
            folder: "nginx-org",
            scripts: &["postinst"],
            switch: None,
        })
    }

    /// The nginx that it is for.
    pub(super) fn nginx_version(&self) -> &str {
        &self.nginx_version
    }

    /// Makes the package of `module`, and beside it the list of what is inside.
    pub(super) fn build(&self, release: &Release, module: &Path, out: &Path) -> Result<()> {
        let architecture = Cmd::new("dpkg").arg("--print-architecture").output()?;
        let architecture = architecture.trim();
        let file = out.join(format!("{}_{}_{architecture}.deb", self.name, self.version));
        let tree = Tree::beside(&file)?;
        let installed = self.fill(release, module, &tree, out)?;
        let libraries = libraries(&installed, &file)?;
        self.control(release, architecture, &libraries, &tree)?;
        tree.seal(release.epoch)?;
        // One thread: more would cut the archive elsewhere.
        Cmd::new("dpkg-deb")
            .args(["--root-owner-group", "--threads-max=1", "-Zxz", "--build"])
            .args([tree.root(), &file])
            .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
            .output()
            .map(|_| ())
    }

    /// The files. Returns where the module is.
    fn fill(&self, release: &Release, module: &Path, tree: &Tree, out: &Path) -> Result<PathBuf> {
        let path = format!("usr/lib/nginx/modules/{MODULE}");
        tree.add(&path, &tree::read(module)?, 0o644)?;
        let installed = tree.root().join(&path);
        Cmd::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(&installed).shown()?;
        if let Some(name) = self.switch {
            tree.add(&format!("usr/share/nginx/modules-available/{name}"), &self.file(name)?, 0o644)?;
        }
        let docs = format!("usr/share/doc/{}", self.name);
        tree.add(&format!("{docs}/copyright"), &tree::read(&packaging("copyright"))?, 0o644)?;
        tree.add(&format!("{docs}/examples/callbacks.conf"), &tree::read(&packaging("callbacks.conf"))?, 0o644)?;
        let list = Bom::Module.list(release, &tree::read(&installed)?)?;
        tree.add(&format!("{docs}/sbom.cdx.json"), &list, 0o644)?;
        tree::write(&out.join(format!("{}_{}.cdx.json", self.name, self.version)), &list)?;
        tree.add_compressed(&format!("{docs}/changelog.Debian"), release.changelog.as_bytes())?;
        Ok(installed)
    }

    /// The control files.
    fn control(&self, release: &Release, architecture: &str, libraries: &str, tree: &Tree) -> Result<()> {
        let sums = Cmd::new("sh")
            .args(["-c", "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum"])
            .dir(tree.root())
            .output()?;
        let size = Cmd::new("du").args(["--summarize", "--apparent-size", "--block-size=1024", "usr"]);
        let size = size.dir(tree.root()).output()?;
        let mut control = String::from_utf8_lossy(&self.file("control")?).into_owned();
        for (name, value) in [
            ("VERSION", self.version.as_str()),
            ("ARCHITECTURE", architecture),
            ("MAINTAINER", &release.maintainer),
            ("INSTALLED_SIZE", size.split_whitespace().next().unwrap_or_default()),
            ("NGINX_VERSION", &self.nginx_version),
            ("NGINX", &self.nginx),
            ("LIBRARIES", libraries),
        ] {
            control = control.replace(&format!("@{name}@"), value);
        }
        tree.add("DEBIAN/control", control.as_bytes(), 0o644)?;
        tree.add("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
        self.scripts.iter().try_for_each(|name| tree.add(&format!("DEBIAN/{name}"), &self.file(name)?, 0o755))
    }

    fn file(&self, name: &str) -> Result<Vec<u8>> {
        tree::read(&packaging(self.folder).join(name))
    }
}

/// The packages of the libraries that the module was linked with, in the versions whose symbols it uses.
fn libraries(module: &Path, file: &Path) -> Result<String> {
    // The tool reads the control file of a source package.
    let source = Tree::beside(&file.with_extension("libraries"))?;
    source.add(
        "debian/control",
        b"Source: secure-callbacks\n\nPackage: secure-callbacks\nArchitecture: any\n",
        0o644,
    )?;
    // Most symbols come from nginx itself, which is no library: `--warnings=0`.
    let found = Cmd::new("dpkg-shlibdeps").args(["--warnings=0", "-O"]).arg(module).dir(source.root()).output()?;
    let found = found.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    found.map(str::to_owned).ok_or_else(|| "dpkg-shlibdeps finds no library".into())
}
