//! The directory that the runbook speaks of, with a real proxy in it that the page's own commands start.
use crate::page;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::proxy::{Directory, read_lossy, tail};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Reply};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The page's secret for archive callbacks before a rotation.
pub(crate) const ARCHIVE: &str = "the-signature-secret-for-archive";
/// And after it.
pub(crate) const ARCHIVE_NEXT: &str = "the-second-signature-secret-for-archive";
/// Its secret for session callbacks.
pub(crate) const SESSION: &str = "the-signature-secret-for-session";

/// How long a change may take to be in force.
const PATIENCE: Duration = Duration::from_secs(20);

/// The page has fixed ports: one site at a time.
static PORTS: Mutex<()> = Mutex::new(());

/// The directory, and what runs in it.
pub(crate) struct Site {
    pub(crate) kind: ProxyKind,
    directory: Directory,
    setup: &'static str,
    /// The file that the commands find in `$MODULE` or `$FILTER`, if it is not the built one.
    pub(crate) artifact: Option<PathBuf>,
    /// The commands that were not run yet.
    commands: Vec<page::Block>,
    _alone: MutexGuard<'static, ()>,
}

impl Site {
    /// The files of the page, and nothing started.
    pub(crate) fn new(kind: ProxyKind) -> Result<Self> {
        let alone = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tools::find(kind)?;
        upstream();
        let directory = Directory::new("runbook")?;
        let path = directory.path();
        for name in ["bin", "modules", "filters", "routes"] {
            std::fs::create_dir(path.join(name))?;
        }
        for file in page::files() {
            directory.write(file.name, file.text)?;
        }
        let (program, filter) = match kind {
            ProxyKind::Envoy => ("bin/envoy", "secure_callbacks.wasm"),
            ProxyKind::EnvoyModule => ("bin/envoy", "libsecure_callbacks.so"),
            ProxyKind::Nginx(_) => ("bin/nginx", "modules/ngx_http_secure_callbacks_module.so"),
        };
        symlink(&found.program, path.join(program))?;
        std::fs::copy(&found.filter, path.join(filter))?;
        if kind.is_nginx() && rustix::process::geteuid().is_root() {
            // As root the workers would run as nobody, who can't reach the working copy.
            let config = read_lossy(&path.join("nginx.conf"));
            directory.write("nginx.conf", format!("user root;\n{config}"))?;
        }
        let mut commands = page::commands(kind);
        let setup = commands.remove(0).text;
        Ok(Self { kind, directory, setup, artifact: None, commands, _alone: alone })
    }

    /// Where the files are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the page's next block of commands, which must stand in `section`, and returns what it printed.
    pub(crate) fn next(&mut self, section: &str) -> Result<String> {
        ensure!(!self.commands.is_empty(), "the page has no more commands");
        let block = self.commands.remove(0);
        ensure!(block.section == section, "the next commands are in {:?}, not in {section:?}", block.section);
        self.run(block.text)
    }

    /// Runs the first commands of the page: all those of its first section.
    pub(crate) fn set_up(&mut self) -> Result<()> {
        let blocks = self.take("Set up")?;
        blocks.iter().try_for_each(|block| self.run(block.text).map(|_| ()))
    }

    /// The next blocks, all those of `section`, for a caller that runs them itself.
    pub(crate) fn take(&mut self, section: &str) -> Result<Vec<page::Block>> {
        let at = self.commands.iter().take_while(|block| block.section == section).count();
        ensure!(at > 0, "no commands of {section:?} are next");
        Ok(self.commands.drain(..at).collect())
    }

    /// Runs commands as the page prints them.
    pub(crate) fn run(&self, commands: &str) -> Result<String> {
        let filter = tools::find(self.kind)?.filter;
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-euc", &format!("{}{commands}", self.setup)])
            .current_dir(self.path())
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .env("MODULE", self.artifact.as_ref().unwrap_or(&filter))
            .env("FILTER", self.artifact.as_ref().unwrap_or(&filter))
            .stdin(Stdio::null())
            .output()?;
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{commands}failed: {}\n{printed}{}", output.status, self.log_end());
        Ok(printed)
    }

    /// No block of the page is left.
    pub(crate) fn done(&self) -> Result<()> {
        ensure!(self.commands.is_empty(), "not run: {:?}", self.commands);
        Ok(())
    }

    /// Where callbacks go.
    pub(crate) fn address(&self) -> SocketAddr {
        local(if self.kind.is_nginx() { 18192 } else { 18191 })
    }

    /// Sends one to `/callbacks/<kind>`, signed with `secret` if there is one.
    pub(crate) fn send(&self, path: &str, secret: Option<&str>) -> Result<(String, Reply)> {
        let prefix = format!("/callbacks/{path}/");
        let callback = match secret {
            Some(secret) => Callback::signed(&prefix, |token| token.secret(secret)),
            None => Callback::below(&prefix).without_token(),
        };
        let reply = self.exchange(&callback)?;
        Ok((callback.id, reply))
    }

    /// Sends any callback.
    pub(crate) fn exchange(&self, callback: &Callback) -> Result<Reply> {
        wait(send::send_to(self.address(), &callback.message))
    }

    /// The status that such a callback gets, checked against what the application received.
    pub(crate) fn status(&self, path: &str, secret: Option<&str>) -> Result<u16> {
        let (id, reply) = self.send(path, secret)?;
        ensure!((reply.status == 200) == upstream().saw(&id), "{} and the application do not agree", reply.status);
        Ok(reply.status)
    }

    /// What the application was told in `X-Callback-Verified`.
    pub(crate) fn verdict(&self, path: &str, secret: Option<&str>) -> Result<String> {
        let (id, reply) = self.send(path, secret)?;
        let requests = upstream().requests(&id);
        let request = requests.first().with_context(|| format!("not forwarded: {} {}", reply.status, reply.text()))?;
        request.headers.text("x-callback-verified").context("X-Callback-Verified")
    }

    /// Waits until such a callback gets `due`: a change comes into force some moments after the commands.
    pub(crate) fn becomes(&self, path: &str, secret: Option<&str>, due: u16) -> Result<()> {
        // Several in a row, so that every worker has it.
        let mut found = Vec::new();
        let came = until(PATIENCE, || {
            found = (0..8).map(|_| self.status(path, secret).unwrap_or(0)).collect::<Vec<_>>();
            Ok(found.iter().all(|status| *status == due).then_some(()))
        })?;
        came.with_context(|| format!("{path}: {found:?} instead of {due}; the log: {}", self.log_end()))
    }

    /// The metrics, as Prometheus would fetch them: of Envoy only ours.
    pub(crate) fn metrics(&self) -> Result<String> {
        if self.kind.is_nginx() {
            wait(send::get(self.address(), "/metrics"))
        } else {
            wait(send::get(local(18194), "/stats/prometheus?filter=secure_callbacks"))
        }
    }

    /// The file with archive's policy that Envoy watches.
    pub(crate) fn watched(&self) -> &'static str {
        if self.kind == ProxyKind::EnvoyModule { "routes/callbacks.yaml" } else { "filters/archive.yaml" }
    }

    fn pid_file(&self) -> PathBuf {
        self.path().join(if self.kind.is_nginx() { "logs/nginx.pid" } else { "envoy.pid" })
    }

    /// The process that the page's commands started, while it runs.
    fn process(&self) -> Option<Pid> {
        let pid = Pid::from_raw(read_lossy(&self.pid_file()).trim().parse().ok()?)?;
        rustix::process::test_kill_process(pid).is_ok().then_some(pid)
    }

    /// Nginx's workers.
    fn workers(&self) -> Result<Vec<String>> {
        let master = self.process().context("nginx does not run")?.as_raw_nonzero();
        let listed = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        Ok(listed.split_whitespace().map(str::to_owned).collect())
    }

    /// Reloads Nginx, and waits until only new workers are left.
    pub(crate) fn reload(&self) -> Result<()> {
        let before = self.workers()?;
        self.run("nginx -s reload\n")?;
        let new = |now: Vec<String>| !now.is_empty() && !now.iter().any(|worker| before.contains(worker));
        let came = until(PATIENCE, || Ok(new(self.workers()?).then_some(())))?;
        came.with_context(|| format!("the old workers stay: {:?}, {before:?}", self.workers()))
    }

    /// Waits until it has ended.
    pub(crate) fn ends(&self) -> Result<()> {
        until(PATIENCE, || Ok(self.process().is_none().then_some(())))?.context("it does not end")
    }

    /// The text of one of its files.
    pub(crate) fn read(&self, name: &str) -> String {
        read_lossy(&self.path().join(name))
    }

    /// What the proxy logged.
    pub(crate) fn log(&self) -> String {
        self.read("logs/error.log") + &self.read("logs/callbacks-error.log") + &self.read("envoy.log")
    }

    fn log_end(&self) -> String {
        tail(&self.log())
    }

    /// The module, where the proxy has it.
    pub(crate) fn module(&self) -> PathBuf {
        let name =
            if self.kind.is_nginx() { "modules/ngx_http_secure_callbacks_module.so" } else { "libsecure_callbacks.so" };
        self.path().join(name)
    }

    /// The process id of Nginx's master, or of Envoy.
    pub(crate) fn pid(&self) -> String {
        read_lossy(&self.pid_file())
    }

    /// The module that runs is the file that is there now, not one that was replaced.
    pub(crate) fn module_is_new(&self) -> Result<()> {
        let name = self.module().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let processes = if self.kind.is_nginx() { self.workers()? } else { vec![self.pid().trim().to_owned()] };
        for process in processes {
            let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
            // The system shows a file that was moved under its present name.
            let module: Vec<_> = maps.lines().filter(|line| line.contains(&name)).collect();
            let is_new = |line: &&str| line.ends_with(&name);
            ensure!(!module.is_empty() && module.iter().all(is_new), "{module:?}");
        }
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(pid) = self.process() {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
            let _ = self.ends();
        }
    }
}

/// The application behind every site.
pub(crate) fn upstream() -> &'static Upstream {
    static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
    UPSTREAM.get_or_init(|| wait(Upstream::start_at(local(18190))).expect("port 18190, which the page names, is free"))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
