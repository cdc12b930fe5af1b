//! The package for nginx.org's nginx. That one is not in Debian's archive: the nginx compiled here, of the same version,
//! is packed as nginx.org packs it.
use anyhow::{Error, Result, ensure};
use secure_callbacks_harness::proxy::Directory;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_packages::{deb, package};

use crate::site::Site;

const PACKAGE: &str = "nginx-module-secure-callbacks";
const MODULE: &str = "ngx_http_secure_callbacks_module.so";
const NGINX: &str = "nginx -p /etc/nginx/ -c /etc/nginx/nginx.conf";

pub(crate) fn life_of_the_package(kind: ProxyKind) -> Result<()> {
    let (version, debian) = (&kind.proxy().version, secure_callbacks_proxies::debian().map_err(Error::msg)?);
    let ours = package(&format!("{PACKAGE}_{version}+"), ".deb")?;
    let directory = Directory::new("packages")?;
    let program = tools::program(kind)?;
    let files = [("usr/sbin/nginx", program.as_path())];
    let nginx = deb::nginx(&format!("{version}-1~{debian}"), &format!("nginx-r{version}"), &files, directory.path())?;
    let mut machine = Machine::new()?;

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
         > /etc/nginx/nginx.conf; mkdir -p {}/logs; {NGINX} -t && {NGINX}",
        paths.join(" "),
        kind.proxy().home(&tools::target()).display(),
    ))?;
    site.works()?;

    let later = deb::with_version(&ours, &format!("{version}+99.0-1~{debian}"), directory.path())?;
    machine.put(&later, "/tmp/later.deb")?;
    let said = machine.run("dpkg -i /tmp/later.deb")?;
    ensure!(said.contains("service nginx restart"), "the upgrade does not say that a restart is due:\n{said}");
    site.works()?;
    machine.run(&format!("{NGINX} -s quit; while [ -e /run/nginx.pid ]; do sleep 0.1; done; {NGINX}"))?;
    site.works()?;

    machine.run(&format!("{NGINX} -s stop; dpkg --purge {PACKAGE} && test ! -e /usr/lib/nginx/modules/{MODULE}"))?;
    let left = machine.run("find /usr /var/lib -name '*secure?callbacks*'")?;
    ensure!(left.trim().is_empty(), "the purge left: {left}");
    Ok(())
}
