//! Debian packages of the Nginx module: for each Debian's nginx, and for nginx.org's of each version. debhelper makes them,
//! with which Debian's `nginx-dev` comes.

use std::fs;
use std::path::Path;

use secure_callbacks_proxies::{Package, Proxy};

use super::release::{Release, packaging};
use super::{sbom, tree};
use crate::build::Build;
use crate::cross;
use crate::nginx::Nginx;
use crate::sh::{Cmd, Result};

/// Makes the packages of `module` for the nginx of `proxy`, and beside each the list of what is inside.
pub(super) fn pack(release: &Release, proxy: &'static Proxy, module: &Path, out: &Path) -> Result<()> {
    let nginx = Nginx::of(proxy)?;
    let numbered = format!("{}-{}", release.version, release.revision);
    // Numbered and bound to it as nginx.org's own modules are. Debian's nginx and nginx.org's are both built `--with-compat`:
    // what loads into one loads into the other of the same version.
    let for_nginx_org = Deb {
        name: "nginx-module-secure-callbacks",
        version: format!("{}+{numbered}~{}", nginx.version, codename()?),
        nginx: &nginx,
        folder: "nginx-org",
    };
    for_nginx_org.build(release, Build::NginxModule(proxy), module, out)?;
    let Some(Package::Debian(number)) = proxy.package else { return Ok(()) };
    // `dh_nginx` binds it to nginx's binary interface, and switches the module on. The number of the Debian lets an upgrade
    // of the system bring the package for the newer one.
    let for_debian = Deb {
        name: "libnginx-mod-http-secure-callbacks",
        version: format!("{numbered}~deb{number}"),
        nginx: &nginx,
        folder: "debian",
    };
    for_debian.build(release, Build::NginxModule(proxy), module, out)
}

/// Of this Debian.
pub(super) fn codename() -> Result<String> {
    let system = tree::read_text(Path::new("/etc/os-release"))?;
    let codename = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    codename.map(str::to_owned).ok_or_else(|| "/etc/os-release names no VERSION_CODENAME".into())
}

/// A package.
struct Deb<'a> {
    name: &'static str,
    version: String,
    /// The nginx that it is for.
    nginx: &'a Nginx,
    /// Where its control file and its script are, in `packaging`.
    folder: &'static str,
}

impl Deb<'_> {
    fn build(&self, release: &Release, build: Build, module: &Path, out: &Path) -> Result<()> {
        let file = module.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let source = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let source = source.path();
        let copy = |from: &Path, to: &str| {
            let to = source.join(to);
            fs::copy(from, &to).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
        };
        tree::empty(&source.join("debian"))?;
        for file in ["changelog", "copyright", "postrm", "prerm", "rules"] {
            copy(&packaging(file), &format!("debian/{file}"))?;
        }
        for file in ["control", "postinst"] {
            copy(&packaging(self.folder).join(file), &format!("debian/{file}"))?;
        }
        if self.folder == "debian" {
            copy(&self.nginx.interface(), "debian/libnginx-mod.abisubstvars")?;
        }
        copy(&packaging("callbacks.conf"), "callbacks.conf")?;
        copy(module, file)?;
        // Before anything is packed: the list names the sum of these bytes.
        let architecture = cross::architecture(build.machine());
        cross::tool(build.machine(), "strip")
            .args(["--strip-unneeded", "--remove-section=.comment", file])
            .dir(source)
            .shown()?;
        let list = sbom::list(build, release, &tree::read(&source.join(file))?)?;
        tree::write(&source.join("sbom.cdx.json"), &list)?;
        tree::write(&out.join(format!("{}_{}_{architecture}.cdx.json", self.name, self.version)), &list)?;
        Cmd::new("dpkg-architecture")
            .args(["--host-arch", architecture, "--command", "debian/rules binary"])
            .dir(source)
            .env("VERSION", &self.version)
            .env("NGINX_VERSION", &self.nginx.version)
            .env("OUT", out)
            .env("LIBRARIES", cross::libraries(build.machine(), &source.join("libraries"))?)
            .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
            // As the control file has it, for debhelper's commands too: nobody needs to be root.
            .env("DEB_RULES_REQUIRES_ROOT", "no")
            .output()
            .map(|_| ())
    }
}
