//! The package for a Debian's nginx, from its installation to its purge, and what apt does where nginx is upgraded.
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

use secure_callbacks_harness::proxy::Directory;
use secure_callbacks_packages::machine::{Machine, NGINX_PACKAGES};
use secure_callbacks_packages::{MODULE, deb, package_for};
use secure_callbacks_proxies::Proxy;

use crate::site::{SECRET_FILE, Site};

const LINK: &str = "/etc/nginx/modules-enabled/50-mod-http-secure-callbacks.conf";

/// What apt is told where nobody answers its questions. Its user may not read everything here.
const APT: &str = "apt-get -y --no-install-recommends -o APT::Sandbox::User=root";

/// What the package says where it does not let itself be removed.
const STAYS: &str = "nginx's configuration uses secure_callbacks";

/// The archive that the machine's apt knows, in the end.
const ARCHIVE: &str = "/srv/archive";

pub(crate) fn life_of_the_package(proxy: &Proxy) -> Result<()> {
    let ours = package_for(proxy)?;
    let mut machine = Machine::new(proxy.suite().context("the nginx of a Debian")?)?;
    let before = machine.run("find /etc /usr | sort")?;
    machine.put(&ours, "/tmp/ours.deb")?;
    machine.run(&format!("{APT} install /tmp/ours.deb"))?;
    machine.run(&format!("test -L {LINK} && nginx -t && cd / && md5sum -c /var/lib/dpkg/info/{MODULE}.md5sums"))?;

    let site = Site::configure(&mut machine, MODULE)?;
    machine.run("service nginx start")?;
    site.works()?;
    upgrades(&mut machine, &ours, &site)?;

    // It does not go while its words are in the configuration. Where they are comments, it does.
    stays(&mut machine, &format!("{APT} remove {MODULE}"), &site)?;
    machine.run("sed -i 's/^/#/' /etc/nginx/conf.d/callbacks.conf")?;
    machine.run(&format!("{APT} remove {MODULE} && test ! -e {LINK} && nginx -t && service nginx restart"))?;
    // It comes back as it was.
    machine.run("sed -i 's/^#//' /etc/nginx/conf.d/callbacks.conf && ! nginx -t")?;
    machine.run(&format!("{APT} install /tmp/later.deb && test -L {LINK} && nginx -t && service nginx restart"))?;
    site.works()?;

    machine.run("rm /etc/nginx/conf.d/callbacks.conf")?;
    machine.run(&format!("{APT} purge {MODULE} && nginx -t && service nginx restart && service nginx stop"))?;
    // The secret is not the package's.
    machine.run(&format!("test -e {SECRET_FILE} && rm -r /etc/nginx/secrets"))?;
    let after = machine.run("find /etc /usr | sort")?;
    ensure!(after == before, "the purge left or took something:\n{}", difference(&before, &after));
    let left = machine.run("grep -rl secure.callbacks /etc /var/lib/dpkg /var/lib/nginx || true")?;
    ensure!(left.trim().is_empty(), "the purge left: {left}");

    machine.run(&format!("{APT} install /tmp/ours.deb"))?;
    let site = Site::configure(&mut machine, MODULE)?;
    machine.run("service nginx start")?;
    another_nginx(&mut machine, &ours, &site)
}

/// A later version comes while callbacks are served.
fn upgrades(machine: &mut Machine, ours: &Path, site: &Site) -> Result<()> {
    let directory = Directory::new("packages")?;
    let later = deb::with_version(ours, "99.0-1", directory.path())?;
    machine.put(&later, "/tmp/later.deb")?;
    let master = machine.run("cat /run/nginx.pid")?;
    let said = machine.run(&format!("{APT} install /tmp/later.deb && test -L {LINK}"))?;
    ensure!(said.contains("service nginx restart"), "the upgrade does not say that a restart is due:\n{said}");
    ensure!(machine.run("cat /run/nginx.pid")? == master, "the upgrade restarted nginx");
    site.works()?;
    machine.run("service nginx restart")?;
    site.works()?;

    // Switched off by hand: an upgrade does not switch it on again.
    machine.run(&format!("rm {LINK} && {APT} install --reinstall /tmp/later.deb && test ! -e {LINK}"))?;
    machine
        .run(&format!("ln -s /usr/share/nginx/modules-available/mod-http-secure-callbacks.conf {LINK} && nginx -t"))?;
    Ok(())
}

/// The archive has a rebuilt nginx that takes none of the modules of before. Whatever apt is asked for, what it leaves is an
/// nginx that starts and has the check.
fn another_nginx(machine: &mut Machine, ours: &Path, site: &Site) -> Result<()> {
    let archive = Directory::new("archive")?;
    let rebuilt = Rebuilt::new(machine, ours, archive.path())?;
    machine.run(&format!("mkdir {ARCHIVE} && echo 'deb [trusted=yes] file:{ARCHIVE} ./' > /etc/apt/sources.list"))?;
    // Nginx's own package restarts it. In a chroot that takes somebody who allows it.
    machine.run("printf '#!/bin/sh\\nexit 0\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d")?;
    publish(machine, archive.path(), &rebuilt.nginx)?;

    // Held back.
    machine.run(&format!("{APT} upgrade"))?;
    for command in ["dist-upgrade", "install nginx"] {
        stays(machine, &format!("{APT} {command}"), site)?;
    }
    let version = |machine: &mut Machine| machine.run("dpkg-query -W -f '${Version}' nginx");
    let before = version(machine)?;
    ensure!(before.trim() == rebuilt.before, "nginx is no longer that of before but {before}");

    // Together.
    publish(machine, archive.path(), &[rebuilt.module])?;
    machine.run(&format!("{APT} upgrade"))?;
    let after = version(machine)?;
    ensure!(after.trim() == rebuilt.after, "nginx is still {after}");
    machine.run("nginx -t && dpkg --audit && service nginx status")?;
    site.works()?;
    machine.run("service nginx restart")?;
    site.works()?;

    // The module of before would not have been taken: otherwise all this shows nothing.
    let (status, said) = machine.attempt("dpkg --force-depends --force-downgrade -i /tmp/ours.deb && nginx -t")?;
    ensure!(status != 0 && said.contains("is not binary compatible"), "the old module in the new nginx: {said}");

    machine.run(&format!("dpkg -i {ARCHIVE}/module.deb && nginx -t"))?;

    // An nginx that goes for good takes the module along.
    machine.run(&format!("{APT} purge nginx nginx-common && ! dpkg-query -W -f '${{Version}}' {MODULE} | grep ."))?;
    Ok(())
}

/// Packages of nginx as it was rebuilt, and of the module for it.
struct Rebuilt {
    before: String,
    after: String,
    nginx: Vec<PathBuf>,
    module: PathBuf,
}

impl Rebuilt {
    fn new(machine: &Machine, ours: &Path, directory: &Path) -> Result<Self> {
        let signature = Some("8,4,8,10");
        let mut nginx = Vec::new();
        let packages = std::fs::read_dir(machine.inside(NGINX_PACKAGES))?;
        let packages = packages.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let program = packages.iter().find(|package| deb::field(package, "Package").is_ok_and(|name| name == "nginx"));
        let program = program.context("no package of nginx")?;
        let before = deb::field(program, "Version")?;
        let after = format!("{before}.1");
        let interface = deb::interface(program, "Provides")?;
        ensure!(interface == deb::interface(ours, "Depends")?, "the package is for another nginx: {interface}");
        let another = format!("{interface}.1");
        for package in &packages {
            let file = directory.join(package.file_name().context("a name")?);
            let words = [(before.as_str(), after.as_str()), (&interface, &another)];
            nginx.push(if package == program {
                deb::rebuilt(package, &words, signature, &file)?
            } else {
                deb::rebuilt(package, &words[..1], None, &file)?
            });
        }
        let version = deb::field(ours, "Version")?;
        let words = [(version.as_str(), "99.0-1"), (&interface, &another)];
        let module = deb::rebuilt(ours, &words, signature, &directory.join("module.deb"))?;
        Ok(Self { before, after, nginx, module })
    }
}

/// Puts packages into the archive.
fn publish(machine: &mut Machine, directory: &Path, packages: &[PathBuf]) -> Result<()> {
    deb::index(directory, packages)?;
    for file in packages.iter().chain([&directory.join("Packages")]) {
        machine.put(file, ARCHIVE)?;
    }
    machine.run("apt-get -o APT::Sandbox::User=root update").map(|_| ())
}

/// Apt can't do this, says why, and leaves what works.
fn stays(machine: &mut Machine, command: &str, site: &Site) -> Result<()> {
    let (status, said) = machine.attempt(command)?;
    ensure!(status != 0 && said.contains(STAYS), "`{command}` ended with {status}:\n{said}");
    machine.run(&format!("test -L {LINK} && nginx -t && service nginx restart && test -z \"$(dpkg --audit)\""))?;
    site.works()
}

fn difference(before: &str, after: &str) -> String {
    let gone =
        before.lines().filter(|line| !after.lines().any(|other| other == *line)).map(|line| format!("-{line}\n"));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line)).map(|line| format!("+{line}\n"));
    gone.chain(new).collect()
}
