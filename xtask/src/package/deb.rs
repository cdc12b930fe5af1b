//! Debian packages of the Nginx module: one for Debian's nginx, one for nginx.org's. debhelper makes them, with which
//! Debian's `nginx-dev` comes.

use std::fs;
use std::path::Path;

use super::release::{Release, packaging};
use super::sbom::Bom;
use super::tree;
use crate::nginx::Nginx;
use crate::sh::{Cmd, Result};

/// The module's file.
pub(super) const MODULE: &str = "ngx_http_secure_callbacks_module.so";

/// A package.
pub(super) struct Deb {
    name: &'static str,
    version: String,
    nginx_version: String,
    /// Where its control file and its script are, in `packaging`.
    folder: &'static str,
}

impl Deb {
    /// For the system's nginx. `dh_nginx` binds it to nginx's binary interface, and switches the module on.
    pub(super) fn debian(release: &Release, nginx: &Nginx) -> Self {
        Self {
            name: "libnginx-mod-http-secure-callbacks",
            version: format!("{}-{}", release.version, release.revision),
            nginx_version: nginx.version.clone(),
            folder: "debian",
        }
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
            folder: "nginx-org",
        })
    }

    /// The nginx that it is for.
    pub(super) fn nginx_version(&self) -> &str {
        &self.nginx_version
    }

    /// Makes the package of `module`, and beside it the list of what is inside.
    pub(super) fn build(&self, release: &Release, module: &Path, out: &Path) -> Result<()> {
        let source = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let source = source.path();
        let copy = |from: &Path, to: &str| {
            let to = source.join(to);
            fs::copy(from, &to).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
        };
        tree::empty(&source.join("debian"))?;
        for file in ["changelog", "copyright", "postrm", "rules"] {
            copy(&packaging(file), &format!("debian/{file}"))?;
        }
        for file in ["control", "postinst"] {
            copy(&packaging(self.folder).join(file), &format!("debian/{file}"))?;
        }
        copy(&packaging("callbacks.conf"), "callbacks.conf")?;
        copy(module, MODULE)?;
        // Before anything is packed: the list names the sum of these bytes.
        Cmd::new("strip").args(["--strip-unneeded", "--remove-section=.comment", MODULE]).dir(source).shown()?;
        let list = Bom::Module.list(release, &tree::read(&source.join(MODULE))?)?;
        tree::write(&source.join("sbom.cdx.json"), &list)?;
        tree::write(&out.join(format!("{}_{}.cdx.json", self.name, self.version)), &list)?;
        Cmd::new("debian/rules")
            .arg("binary")
            .dir(source)
            .env("VERSION", &self.version)
            .env("NGINX_VERSION", &self.nginx_version)
            .env("OUT", out)
            .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
            // As the control file has it, for debhelper's commands too: nobody needs to be root.
            .env("DEB_RULES_REQUIRES_ROOT", "no")
            .output()
            .map(|_| ())
    }
}
