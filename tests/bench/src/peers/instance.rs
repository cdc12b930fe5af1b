//! One running row: the proxy, and the program beside it where there is one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secure_callbacks_harness::proxy::{self, Directory, Process};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::fill;
use secure_callbacks_support::token::{API_KEY, APPLICATION_ID, SECRET};

use super::site::{self, Site};
use super::{Helper, Host, Peer};

/// How long a program may take to listen; valgrind takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What counts instructions, from when it is told to. PyPI's Envoy is started by a script, and its V8 writes code while it
/// runs.
const COUNTING: [&str; 6] = [
    "valgrind",
    "--tool=callgrind",
    "--trace-children=yes",
    "--smc-check=all-non-file",
    "--instr-atstart=no",
    "--callgrind-out-file=callgrind.out.%p",
];

/// What the placeholders of a configuration stand for.
type Values = BTreeMap<&'static str, String>;

/// A row that is ready for callbacks.
pub(crate) struct Instance {
    pub(crate) peer: Peer,
    pub(crate) directory: PathBuf,
    proxy: Process,
    helper: Option<Process>,
    pub(crate) http1: SocketAddr,
    pub(crate) http2: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// From the start of the proxy's process until it took a connection.
    pub(crate) started_in: Duration,
}

impl Instance {
    /// Starts what the row needs.
    pub(crate) fn start(peer: Peer, site: &Site) -> Result<Self> {
        let kind = if peer.host == Host::Envoy { ProxyKind::Envoy } else { ProxyKind::system_nginx() };
        let directory = Directory::new(&format!("{}-{}", peer.host.name(), peer.name))?;
        let (http1, tls) = (proxy::free_port()?, proxy::free_port()?);
        let http2 = if peer.host == Host::Envoy { http1 } else { proxy::free_port()? };
        let helper_port = proxy::free_port()?;
        let helper = peer.helper.map(|helper| start_helper(helper, helper_port, &directory, site)).transpose()?;

        let upstream = match peer.helper {
            Some(Helper::Application { .. }) => helper_port.port(),
            _ => site.upstream,
        };
        let other = site.against.as_deref().filter(|_| peer.is_other_build());
        let values = Values::from([
            ("http", http1.port().to_string()),
            ("http2", http2.port().to_string()),
            ("tls", tls.port().to_string()),
            ("upstream", upstream.to_string()),
            ("verifier", helper_port.port().to_string()),
            ("filter_module", site::filter_module(kind, other)?.display().to_string()),
            ("bench_filters", site::bench_filters().display().to_string()),
            ("debian", site::debian().display().to_string()),
            ("replay_capacity", site.replay_capacity.to_string()),
            ("max_age", site.max_age.to_owned()),
            ("log_level", if peer.is_logging() { "warn" } else { "error" }.into()),
            ("api_key", API_KEY.into()),
            ("application", APPLICATION_ID.into()),
            ("secret", SECRET.into()),
            ("secret_base64url", URL_SAFE_NO_PAD.encode(SECRET)),
            // As root the workers would run as nobody, who can't reach the working copy.
            ("user", if rustix::process::geteuid().is_root() { "user root;" } else { "" }.into()),
        ]);
        write_configuration(&peer, &directory, values, site)?;

        let start = Instant::now();
        let command = command(kind, directory.path(), site)?;
        let mut proxy = Process::start(command, &directory.path().join("output.log"))?;
        wait_for(&mut proxy, http1, directory.path()).with_context(|| format!("starting {}", peer.title))?;
        let started_in = start.elapsed();
        let directory = directory.path().to_owned();
        Ok(Self { peer, directory, proxy, helper, http1, http2, tls, started_in })
    }

    /// The processes that do the proxy's work: nginx's workers, or Envoy itself.
    pub(crate) fn proxy_pids(&self) -> Vec<i32> {
        if self.peer.host == Host::Envoy { vec![self.proxy.pid()] } else { self.proxy.children() }
    }

    /// The program beside the proxy.
    pub(crate) fn helper_pids(&self) -> Vec<i32> {
        self.helper.iter().map(Process::pid).collect()
    }
}

fn write_configuration(peer: &Peer, directory: &Directory, mut values: Values, site: &Site) -> Result<()> {
    site.certificates.server.write(directory.path(), "server")?;
    directory.write("trusted.pem", site.certificates.authority.pem())?;
    if peer.host == Host::Envoy {
        let filter = filled(peer, peer.config, &values)?;
        let for_tls = peer.config.replace(".yaml", "_tls.yaml");
        let filter_tls = if path(peer, &for_tls).exists() { filled(peer, &for_tls, &values)? } else { filter.clone() };
        values.insert("filter", indent(&filter));
        values.insert("filter_tls", indent(&filter_tls));
        directory.write("envoy.yaml", filled(peer, "envoy.yaml", &values)?)?;
        return Ok(());
    }
    directory.write("nginx.conf", filled(peer, peer.config, &values)?)?;
    for file in peer.files {
        directory.write(file, filled(peer, file, &values)?)?;
    }
    Ok(())
}

fn path(peer: &Peer, file: &str) -> PathBuf {
    site::peers_directory().join(if peer.host == Host::Envoy { "envoy" } else { "nginx" }).join(file)
}

/// A file of the row with its placeholders filled.
fn filled(peer: &Peer, file: &str, values: &Values) -> Result<String> {
    let path = path(peer, file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    fill(&text, |name| values.get(name).map(String::as_str)).map_err(|problem| anyhow!("{}: {problem}", path.display()))
}

/// As the filters are in the list of `envoy.yaml`.
fn indent(filters: &str) -> String {
    filters.lines().map(|line| format!("          {line}")).collect::<Vec<_>>().join("\n")
}

fn command(kind: ProxyKind, directory: &Path, site: &Site) -> Result<Command> {
    let program = tools::program(kind)?;
    let mut words: Vec<&OsStr> = Vec::new();
    if site.counts {
        words.extend(COUNTING.map(OsStr::new));
    }
    words.push(program.as_os_str());
    let mut command = pinned(&words, site);
    // Where the configuration names the certificates.
    command.current_dir(directory);
    if kind == ProxyKind::Envoy {
        command.args(["--config-path", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1"]);
        command.args(["--log-level", "warning", "--drain-time-s", "1"]);
        command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", tools::target().join("dist"));
    } else {
        command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf")).args(["-e", "error.log"]);
        // What the Lua module loads; nothing else of nginx is there.
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|folder| site::debian().join(folder));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
    }
    Ok(command)
}

/// A program, the last of the words, on the core of the proxies, or where the site says.
fn pinned(words: &[&OsStr], site: &Site) -> Command {
    let cores = site.cores.clone().or_else(|| site.pinned.map(|core| core.to_string()));
    let pinned = cores.iter().flat_map(|cores| ["taskset", "--cpu-list", cores]).map(OsStr::new);
    let mut words = pinned.chain(words.iter().copied());
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

fn start_helper(helper: Helper, address: SocketAddr, directory: &Directory, site: &Site) -> Result<Process> {
    let port = address.port().to_string();
    let command = match helper {
        Helper::Verifier { head_only } => {
            let mut command = pinned(&[std::env::current_exe()?.as_os_str()], site);
            command.args(["verifier", &port]).args(head_only.then_some("--head-only"));
            command
        }
        Helper::Application { check } => {
            ensure!(site::python().exists(), "there is no Python environment");
            let mut command = pinned(&[site::python().as_os_str()], site);
            command.args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", &port]);
            command.args(["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]);
            command.args(["--timeout-keep-alive", "3600"]);
            command.current_dir(site::peers_directory().join("application"));
            command.envs([("SECRET", SECRET), ("API_KEY", API_KEY), ("CHECK", if check { "on" } else { "off" })]);
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
    };
    let mut process = Process::start(command, &directory.path().join("helper.log"))?;
    wait_for(&mut process, address, directory.path()).context("starting the program beside the proxy")?;
    Ok(process)
}

/// Waits until something listens there.
fn wait_for(process: &mut Process, address: SocketAddr, directory: &Path) -> Result<()> {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        let said = || {
            let log = proxy::read_lossy(&directory.join("error.log"));
            proxy::tail(&format!("{}{log}", process.output()))
        };
        if start.elapsed() > PATIENCE {
            bail!("it did not listen within {PATIENCE:?} and said:\n{}", said());
        }
        let said = said();
        if let Some(status) = process.ended()? {
            bail!("it ended ({status}) and said:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_keeps_its_own_indentation() {
        assert_eq!(indent("a:\n  b: c"), "          a:\n            b: c");
    }
}
