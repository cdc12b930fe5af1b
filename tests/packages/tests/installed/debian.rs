//! The package for Debian's nginx, from its installation to its purge.
use anyhow::{Result, ensure};
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_packages::{deb, package};

use crate::site::{SECRET_FILE, Site};

const PACKAGE: &str = "libnginx-mod-http-secure-callbacks";
const LINK: &str = "/etc/nginx/modules-enabled/50-mod-http-secure-callbacks.conf";
const INSTALL: &str = "apt-get install -y --no-install-recommends -o APT::Sandbox::User=root";

pub(crate) fn life_of_the_package() -> Result<()> {
    let ours = package(PACKAGE, ".deb")?;
    let mut machine = Machine::new()?;
    let before = machine.run("find /etc /usr | sort")?;
    machine.put(&ours, "/tmp/ours.deb")?;
    machine.run(&format!("{INSTALL} /tmp/ours.deb"))?;
    machine.run(&format!("test -L {LINK} && nginx -t && cd / && md5sum -c /var/lib/dpkg/info/{PACKAGE}.md5sums"))?;

    let site = Site::configure(&mut machine, PACKAGE)?;
    machine.run("service nginx start")?;
    site.works()?;
    upgrades(&mut machine, &ours, &site)?;
    another_nginx_takes_it_away_in_the_open(&mut machine)?;

    // Removed while its words are still in the configuration: what runs goes on, and nothing starts without it.
    machine.run(&format!("apt-get remove -y {PACKAGE}"))?;
    site.works()?;
    let (status, said) = machine.attempt("nginx -t")?;
    ensure!(status != 0 && said.contains("unknown directive"), "nginx -t without the module: {said}");
    // It comes back as it was.
    machine.run(&format!("{INSTALL} /tmp/later.deb && test -L {LINK} && nginx -t && service nginx restart"))?;
    site.works()?;

    machine.run("rm /etc/nginx/conf.d/callbacks.conf")?;
    machine.run(&format!("apt-get purge -y {PACKAGE} && nginx -t && service nginx restart && service nginx stop"))?;
    // The secret is not the package's.
    machine.run(&format!("test -e {SECRET_FILE} && rm -r /etc/nginx/secrets"))?;
    let after = machine.run("find /etc /usr | sort")?;
    ensure!(after == before, "the purge left or took something:\n{}", difference(&before, &after));
    let left = machine.run("grep -rl secure.callbacks /etc /var/lib/dpkg /var/lib/nginx || true")?;
    ensure!(left.trim().is_empty(), "the purge left: {left}");
    Ok(())
}

/// A later version comes while callbacks are served.
fn upgrades(machine: &mut Machine, ours: &std::path::Path, site: &Site) -> Result<()> {
    let directory = secure_callbacks_harness::proxy::Directory::new("packages")?;
    let later = deb::with_version(ours, "99.0-1", directory.path())?;
    machine.put(&later, "/tmp/later.deb")?;
    let master = machine.run("cat /run/nginx.pid")?;
    let said = machine.run(&format!("{INSTALL} /tmp/later.deb && test -L {LINK}"))?;
    ensure!(said.contains("service nginx restart"), "the upgrade does not say that a restart is due:\n{said}");
    ensure!(machine.run("cat /run/nginx.pid")? == master, "the upgrade restarted nginx");
    site.works()?;
    machine.run("service nginx restart")?;
    site.works()?;

    // Switched off by hand: an upgrade does not switch it on again.
    machine.run(&format!("rm {LINK} && {INSTALL} --reinstall /tmp/later.deb && test ! -e {LINK}"))?;
    machine
        .run(&format!("ln -s /usr/share/nginx/modules-available/mod-http-secure-callbacks.conf {LINK} && nginx -t"))?;
    Ok(())
}

/// An nginx of another binary interface can't come in beside it: apt says that it has to go first.
fn another_nginx_takes_it_away_in_the_open(machine: &mut Machine) -> Result<()> {
    let directory = secure_callbacks_harness::proxy::Directory::new("packages")?;
    let nginx = deb::nginx("1.99.0-1", "nginx-abi-1.99.0-1", &[], directory.path())?;
    machine.put(&nginx, "/tmp/nginx.deb")?;
    let said = machine.run(&format!("{INSTALL} --simulate /tmp/nginx.deb && rm /tmp/nginx.deb"))?;
    ensure!(said.contains(&format!("Remv {PACKAGE}")), "apt would keep the module:\n{said}");
    Ok(())
}

fn difference(before: &str, after: &str) -> String {
    let gone =
        before.lines().filter(|line| !after.lines().any(|other| other == *line)).map(|line| format!("-{line}\n"));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line)).map(|line| format!("+{line}\n"));
    gone.chain(new).collect()
}
