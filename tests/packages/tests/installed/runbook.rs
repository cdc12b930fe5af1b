//! The runbook with Debian's own Nginx and the package: every command of `docs/operations.md` for it, in its order. What
//! each of them does to callbacks under load is seen where Nginx has a directory of its own (`tests/operations`).
use anyhow::{Context, Result, bail, ensure};
use secure_callbacks_harness::proxy::Directory;
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_packages::{blocks, deb, package_for_system};

use crate::first_hour;

const PAGE: &str = include_str!("../../../../docs/operations.md");

/// The application that the page speaks of.
const APPLICATION: &str = "server { listen 127.0.0.1:18190; access_log off; return 200 taken; }";

const ARCHIVE: &str = "the-signature-secret-for-archive";
const ARCHIVE_NEXT: &str = "the-second-signature-secret-for-archive";
const SESSION: &str = "the-signature-secret-for-session";

/// A machine, and the page's commands that were not run yet.
struct Runbook {
    machine: Machine,
    define: &'static str,
    commands: std::vec::IntoIter<&'static str>,
}

pub(crate) fn with_the_package() -> Result<()> {
    let ours = package_for_system()?;
    let directory = Directory::new("packages")?;
    let later = deb::with_version(&ours, "99.0-1", directory.path())?;
    let mut machine = Machine::isolated()?;
    machine.run(first_hour::PREPARE)?;
    for (file, path) in [(&ours, "/root/here/ours.deb"), (&later, "/root/here/later.deb")] {
        machine.put(file, path)?;
    }
    machine.run("apt install /root/here/ours.deb")?;
    let [config] = blocks(PAGE, "nginx callbacks.conf")[..] else { bail!("not one configuration") };
    let script = first_hour::script()?;
    for (name, text) in [
        ("/root/here/callbacks.conf", config),
        ("/etc/nginx/conf.d/application.conf", APPLICATION),
        ("/root/here/send-callback.sh", script),
    ] {
        machine.run(&format!("cat > {name} <<'TEXT'\n{text}\nTEXT"))?;
    }
    let mut commands = commands().into_iter();
    let define = commands.next().context("the page has no commands")?;
    let mut runbook = Runbook { machine, define, commands };

    runbook.next("install -m 600 /dev/stdin secrets/archive ")?;
    runbook.next("> \"$config\"")?;
    runbook.expect("archive", SESSION, 200)?;
    let shown = runbook.next("/metrics")?;
    ensure!(shown.contains("result=\"signature_invalid\"} 1"), "{shown}");
    runbook.next("mode report;")?;
    runbook.expect("archive", SESSION, 401)?;
    runbook.expect("archive", ARCHIVE, 200)?;
    let late = runbook.next("token_expired")?;
    ensure!(late.trim().is_empty(), "{late}");
    runbook.next("max_age 24h")?;
    runbook.next("secrets/archive-next <<")?;
    runbook.expect("archive", ARCHIVE_NEXT, 200)?;
    runbook.expect("archive", ARCHIVE, 200)?;
    runbook.next("secrets/archive-next secrets/archive")?;
    runbook.expect("archive", ARCHIVE, 401)?;
    for (command, version) in [("$PACKAGE", "99.0-1"), ("$BEFORE", "0.")] {
        runbook.next(command)?;
        let installed = runbook.machine.run("dpkg-query -W -f '${Version}' libnginx-mod-http-secure-callbacks")?;
        ensure!(installed.starts_with(version), "{command}: {installed}");
        runbook.expect("archive", ARCHIVE_NEXT, 200)?;
        runbook.expect("session", ARCHIVE_NEXT, 401)?;
    }
    runbook.next("-s quit")?;
    ensure!(runbook.commands.next().is_none(), "commands that are not run");
    Ok(())
}

/// The commands for a packaged Nginx, in their order.
fn commands() -> Vec<&'static str> {
    let blocks = PAGE.split("\n```sh ").skip(1).filter_map(|rest| rest.split("\n```").next()?.split_once('\n'));
    blocks.filter(|(name, _)| ["nginx", "packaged"].contains(name)).map(|(_, text)| text).collect()
}

impl Runbook {
    /// Runs the page's next commands, those with `part` in them.
    fn next(&mut self, part: &str) -> Result<String> {
        let commands = self.commands.next().context("no more commands")?;
        ensure!(commands.contains(part), "not the commands with {part:?}: {commands}");
        let files = "CALLBACKS=/root/here/callbacks.conf PACKAGE=/root/here/later.deb BEFORE=/root/here/ours.deb";
        self.machine.run(&format!("set -eu; {files}\n{}\n{commands}", self.define))
    }

    /// The status that a callback of this kind gets in the end, signed with this secret.
    fn expect(&mut self, kind: &str, secret: &str, due: u16) -> Result<()> {
        // A reload is in force when the old workers have stopped listening.
        let send = format!(
            "printf %s {secret} > /tmp/secret; for i in 1 2 3 4 5 6 7 8 9 10; do
                sh /root/here/send-callback.sh /tmp/secret a1b2c3d http://127.0.0.1:18192/callbacks/{kind}/x > /tmp/reply
                if grep -q '^HTTP/1.1 {due}' /tmp/reply; then exit 0; fi
                sleep 0.5
            done; cat /tmp/reply; exit 1"
        );
        self.machine.run(&send).with_context(|| format!("{kind} with {secret} is not answered {due}")).map(|_| ())
    }
}
