//! A Debian of its own in a folder: with its own files and processes, all gone when it is dropped.
use anyhow::{Context, Error, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::{as_root, remove, run};
use secure_callbacks_harness::tools;

/// A Debian with its nginx, and the two programs that send a callback by hand; kept for the next time: a path under `target`.
fn kept(debian: &str) -> String {
    format!("clean-root/{debian}-with-nginx.tar")
}

/// Where it has the packages that its nginx was installed from.
pub const NGINX_PACKAGES: &str = "/root/packages";

/// What puts them there.
const KEEP_PACKAGES: &str =
    r#"mkdir "$1/root/packages" && mv "$1"/var/cache/apt/archives/nginx*.deb "$1/root/packages""#;

fn debian() -> Result<&'static str> {
    secure_callbacks_proxies::debian().map_err(Error::msg)
}

/// What it has besides the smallest system.
const INCLUDED: &str = "--include=nginx,curl,openssl";

/// Brings up the loopback of a network that is new, with the one program of the smallest system that can.
const LOOPBACK_UP: &str =
    r#"perl -e '$lo = pack("a16 s x22", "lo", 0x49); socket(S, 2, 2, 0); ioctl(S, 0x8914, $lo) or die $!'"#;

/// The line that ends what a command printed; its status follows.
const END: &str = "-- the command ended with ";

/// A running Debian with one shell of root.
pub struct Machine {
    root: PathBuf,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Machine {
    /// A new one, as fresh from this Debian's installer, in the same network. Nginx does not run, and has no server.
    pub fn new(debian: &str) -> Result<Self> {
        let mut machine = Self::start(debian, &[])?;
        machine.run("rm -f /etc/nginx/sites-enabled/default")?;
        Ok(machine)
    }

    /// A new one, as fresh from the installer of the machine's own Debian, whose network is its own: every port is free. Nginx does not run.
    pub fn isolated() -> Result<Self> {
        let mut machine = Self::start(debian()?, &["--net"])?;
        machine.run(LOOPBACK_UP)?;
        Ok(machine)
    }

    fn start(debian: &str, namespaces: &[&str]) -> Result<Self> {
        let kept = tools::target().join(kept(debian));
        if !kept.exists() {
            make(debian, &kept)?;
        }
        remove_old()?;
        let root = tools::target().join(format!("clean-root/{}", std::process::id()));
        remove(&root)?;
        std::fs::create_dir_all(&root)?;
        run(as_root("tar").arg("-xpf").arg(&kept).arg("-C").arg(&root))?;
        let mut shell = as_root("unshare")
            .args(namespaces)
            .args(["--mount", "--pid", "--fork", "--kill-child", "chroot"])
            .arg(&root)
            .args(["/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a shell in the clean root (util-linux's unshare)")?;
        let input = shell.stdin.take().context("no input")?;
        let output = BufReader::new(shell.stdout.take().context("no output")?);
        let mut machine = Self { root, shell, input, output };
        machine.run("mount -t proc proc /proc")?;
        Ok(machine)
    }

    /// Runs shell commands; returns what they printed, both outputs, or the same as an error.
    pub fn run(&mut self, commands: &str) -> Result<String> {
        let (status, text) = self.attempt(commands)?;
        ensure!(status == 0, "`{commands}` ended with {status}:\n{text}");
        Ok(text)
    }

    /// Runs shell commands that may fail; returns their status and what they printed.
    pub fn attempt(&mut self, commands: &str) -> Result<(i32, String)> {
        // What they print goes through a file: a service that they start may keep the outputs open.
        writeln!(self.input, "( {commands}\n) >/tmp/said 2>&1 </dev/null; s=$?; cat /tmp/said; echo; echo '{END}'$s")?;
        self.input.flush()?;
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            if self.output.read_until(b'\n', &mut line)? == 0 {
                bail!("the clean root's shell ended after `{commands}`:\n{text}");
            }
            let line = String::from_utf8_lossy(&line);
            match line.strip_prefix(END) {
                Some(status) => return Ok((status.trim().parse()?, text)),
                None => text.push_str(&line),
            }
        }
    }

    /// Copies a file into it.
    pub fn put(&self, file: &Path, path: &str) -> Result<()> {
        run(as_root("cp").arg(file).arg(self.inside(path))).map(|_| ())
    }

    /// A path of the machine, as it is seen from outside.
    #[must_use]
    pub fn inside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The shell is the first process of its namespace: what it started ends with it.
        let _ = writeln!(self.input, "exit");
        let _ = self.shell.wait();
        let _ = remove(&self.root);
    }
}

/// Removes what runs left that were killed.
fn remove_old() -> Result<()> {
    for entry in std::fs::read_dir(tools::target().join("clean-root"))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse::<u32>().is_ok() && !Path::new("/proc").join(name).exists() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// What is missing for a machine: none of it is there for somebody who is neither root nor may become it.
#[must_use]
pub fn missing(debian: &str) -> Option<String> {
    let works = |program: &str, arguments: &[&str]| run(as_root(program).args(arguments)).is_ok();
    if !works("true", &[]) {
        return Some("neither root nor sudo without a password".into());
    }
    if !tools::target().join(kept(debian)).exists() && !works("sh", &["-c", "command -v debootstrap"]) {
        return Some("no debootstrap".into());
    }
    (!works("unshare", &["--mount", "--pid", "--fork", "true"])).then(|| "no namespaces here (unshare)".into())
}

/// Installs Debian from its archive: about a minute, once.
fn make(debian: &str, kept: &Path) -> Result<()> {
    println!("a clean Debian is made with debootstrap (about a minute; kept in {})", kept.display());
    let root = kept.with_extension("new");
    remove(&root)?;
    std::fs::create_dir_all(&root)?;
    run(as_root("debootstrap").args(["--variant=minbase", INCLUDED, debian]).arg(&root))?;
    run(as_root("sh").args(["-ec", KEEP_PACKAGES, "sh"]).arg(&root))?;
    let archive = kept.with_extension("tar.new");
    let leave_out = ["--exclude=./var/cache/apt/*", "--exclude=./proc/*", "--exclude=./sys/*"];
    run(as_root("tar").arg("-C").arg(&root).args(leave_out).arg("-cf").arg(&archive).arg("."))?;
    remove(&root)?;
    std::fs::rename(&archive, kept)?;
    Ok(())
}
