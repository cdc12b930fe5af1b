//! The package for nginx.org's nginx. That one is not in Debian's archive: the nginx compiled here, of the same version,
//! is packed as nginx.org packs it, and where none is compiled, Debian's own.
use anyhow::{Error, Result, ensure};
use secure_callbacks_harness::proxy::Directory;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_packages::{deb, package};
use secure_callbacks_proxies::{self as proxies, Source};

use std::os::unix::fs::PermissionsExt;

use crate::site::Site;

const PACKAGE: &str = "nginx-module-secure-callbacks";
const MODULE: &str = "ngx_http_secure_callbacks_module.so";
const FILES: &str = "-p /etc/nginx/ -c /etc/nginx/nginx.conf";

pub(crate) fn life_of_the_package(kind: ProxyKind) -> Result<()> {
    let (version, debian) = (&kind.proxy().version, proxies::debian().map_err(Error::msg)?);
    let ours = package(&format!("{PACKAGE}_{version}+"), ".deb")?;
    let directory = Directory::new("packages")?;
    let program = match &kind.proxy().source {
        // Not the script that runs it outside of its Debian.
        Source::Debian { .. } => kind.proxy().home(&tools::target()).join("root/usr/sbin/nginx"),
        _ => tools::program(kind)?,
    };
    // The compiled nginx has its files where it was compiled, and nginx.org's has them here.
    let script = directory.write("nginx", format!("#!/bin/sh\nexec /usr/sbin/nginx-itself {FILES} \"$@\"\n"))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let files = [("usr/sbin/nginx", script.as_path()), ("usr/sbin/nginx-itself", program.as_path())];
    let nginx = deb::nginx(&format!("{version}-1~{debian}"), &format!("nginx-r{version}"), &files, directory.path())?;
    let mut machine = Machine::new(kind.proxy().suite().unwrap_or(debian))?;

    // Debian's nginx is not the one that it is for.
    machine.put(&ours, "/tmp/ours.deb")?;
    let (status, _) = machine.attempt("apt-get install -y --simulate /tmp/ours.deb")?;
    ensure!(status != 0, "it can be installed beside Debian's nginx");

    machine.put(&nginx, "/tmp/nginx.deb")?;
    machine.run("apt-get purge -y nginx nginx-common && rm -rf /etc/nginx && dpkg -i /tmp/nginx.deb")?;
    let said = machine.run("dpkg -i /tmp/ours.deb")?;
    ensure!(said.contains(&format!("load_module modules/{MODULE};")), "it does not say how to switch it on:\n{said}");

    let site = Site::configure(&mut machine, PACKAGE)?;
    // The compiled nginx has its temporary files where it was compiled.
    let paths =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path /tmp/{kind};"));
    machine.run(&format!(
        "printf '%s\\n' 'load_module modules/{MODULE};' 'pid /run/nginx.pid;' 'error_log /var/log/nginx.log;' \
         'user www-data;' 'events {{}}' 'http {{ access_log off; {} include /etc/nginx/conf.d/*.conf; }}' \
         > /etc/nginx/nginx.conf; mkdir -p {}/logs /var/lib/nginx; nginx -t && nginx",
        paths.join(" "),
        kind.proxy().home(&tools::target()).display(),
    ))?;
    site.works()?;

    let later = deb::with_version(&ours, &format!("{version}+99.0-1~{debian}"), directory.path())?;
    machine.put(&later, "/tmp/later.deb")?;
    let said = machine.run("dpkg -i /tmp/later.deb")?;
    ensure!(said.contains("service nginx restart"), "the upgrade does not say that a restart is due:\n{said}");
    site.works()?;
    machine.run("nginx -s quit; while [ -e /run/nginx.pid ]; do sleep 0.1; done; nginx")?;
    site.works()?;

    // It stays as long as the configuration loads it.
    let (status, said) = machine.attempt(&format!("dpkg --purge {PACKAGE}"))?;
    ensure!(status != 0 && said.contains("take its lines out"), "removed while it is in use: {said}");
    machine.run("nginx -t && rm /etc/nginx/conf.d/callbacks.conf && sed -i /load_module/d /etc/nginx/nginx.conf")?;
    machine.run(&format!(
        "nginx -t && nginx -s stop; dpkg --purge {PACKAGE} && test ! -e /usr/lib/nginx/modules/{MODULE}"
    ))?;
    let left = machine.run("find /usr /var/lib -name '*secure?callbacks*'")?;
    ensure!(left.trim().is_empty(), "the purge left: {left}");
    Ok(())
}
