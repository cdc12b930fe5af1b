//! Starts and stops Envoy and Nginx: each instance in a directory of its own, stopped when it is dropped.
use crate::clock;
use crate::tools::{self, ProxyKind};
use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpStream;

mod directory;
pub mod envoy;
pub mod nginx;
mod ports;
mod process;

pub use directory::{Directory, finish};
pub use ports::free_port;
pub use process::{Outcome, Process, read_lossy, tail};

/// The environment a proxy gets on top of this program's own.
pub type Environment = Vec<(String, String)>;

/// A running proxy.
pub struct Proxy {
    /// Which one.
    pub kind: ProxyKind,
    process: Process,
    directory: Directory,
    ports: BTreeMap<String, Ports>,
    admin: Option<SocketAddr>,
}

/// Where one policy listens. In Envoy the first two are the same.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// HTTP/1.1.
    pub http1: SocketAddr,
    /// HTTP/2 with prior knowledge.
    pub http2: SocketAddr,
    /// HTTP/3, if that is to be spoken.
    pub http3: Option<SocketAddr>,
}

impl Ports {
    /// New ones for `kind`.
    pub fn new(kind: ProxyKind) -> Result<Self> {
        let http1 = free_port()?;
        let http2 = if kind.is_nginx() { free_port()? } else { http1 };
        Ok(Self { http1, http2, http3: None })
    }

    /// The same, and HTTP/3 where `kind` speaks it: over UDP, at the number that HTTP/1.1 has over TCP.
    #[must_use]
    pub fn and_http3(self, kind: ProxyKind) -> Self {
        Self { http3: kind.has_http3().then_some(self.http1), ..self }
    }
}

impl Proxy {
    /// A proxy with one listener for each policy (the form is the Envoy one), all before `upstream`; in all versions of
    /// HTTP that it speaks.
    pub async fn with_policies(
        kind: ProxyKind,
        policies: &BTreeMap<String, Value>,
        upstream: SocketAddr,
    ) -> Result<Self> {
        let filter = tools::find(kind)?.filter;
        let directory = Directory::new(kind.name())?;
        let mut ports = BTreeMap::new();
        for name in policies.keys() {
            ports.insert(name.clone(), Ports::new(kind)?.and_http3(kind));
        }
        let mut proxy = if kind.is_nginx() {
            nginx::write_certificate(&directory)?;
            let mut http = nginx::upstream(upstream);
            for (name, policy) in policies {
                let listen = nginx::listen(kind, ports[name]);
                http.push_str(&secure_callbacks_support::nginx_block(name, policy));
                http.push_str(&format!(
                    "\n    server {{ {listen} location / {{ secure_callbacks {name}; proxy_pass http://app; }} }}\n"
                ));
            }
            Self::nginx(kind, directory, &nginx::config(Some(&filter), &[], &http), &Vec::new()).await?
        } else {
            let mut listeners = Vec::new();
            for (index, (name, policy)) in policies.iter().enumerate() {
                let form = if index % 2 == 0 { envoy::Form::Struct } else { envoy::Form::Text };
                let mut policy = policy.clone();
                if policy.get("name").is_none() {
                    policy["name"] = json!(name);
                }
                listeners.push(envoy::Listener::new(ports[name].http1, upstream, envoy::filter(&policy, form, &[])));
            }
            Self::envoy(directory, &listeners, &Vec::new()).await?
        };
        proxy.ports = ports;
        Ok(proxy)
    }

    /// An nginx with the whole configuration given, in `directory`.
    pub async fn nginx(kind: ProxyKind, directory: Directory, config: &str, environment: &Environment) -> Result<Self> {
        let config = directory.write("nginx.conf", config)?;
        let mut command = nginx_command(kind, &directory, &config)?;
        command.envs(environment.iter().cloned());
        let mut process = Process::start(command, &directory.path().join("output.log"))?;
        let pid_file = directory.path().join("nginx.pid");
        // The file is written once the sockets are open; the workers come right after it.
        let ready = || std::future::ready(std::fs::metadata(&pid_file).is_ok_and(|file| file.len() > 0));
        process.wait_until(ready).await.with_context(|| format!("starting {}", kind.name()))?;
        Ok(Self { kind, process, directory, ports: BTreeMap::new(), admin: None })
    }

    /// An Envoy with these listeners, in `directory`.
    pub async fn envoy(directory: Directory, listeners: &[envoy::Listener], environment: &Environment) -> Result<Self> {
        Self::envoy_logging(directory, listeners, environment, "wasm:warning").await
    }

    /// The same, with the log of some components at a level of their own: `wasm:trace`.
    pub async fn envoy_logging(
        directory: Directory,
        listeners: &[envoy::Listener],
        environment: &Environment,
        levels: &str,
    ) -> Result<Self> {
        Self::envoy_with(directory, listeners, environment, levels, 2).await
    }

    /// The same, with as many workers.
    pub async fn envoy_with(
        directory: Directory,
        listeners: &[envoy::Listener],
        environment: &Environment,
        levels: &str,
        workers: usize,
    ) -> Result<Self> {
        let admin = free_port()?;
        let bootstrap = envoy::bootstrap(admin, &directory.path().join("access.log"), listeners);
        let config = directory.write("envoy.json", serde_json::to_vec_pretty(&bootstrap)?)?;
        let mut command = envoy_command()?;
        command.arg("--config-path").arg(config).args(["--use-dynamic-base-id", "--concurrency", &workers.to_string()]);
        // Without a name it does not ask for configurations by discovery, not even a file.
        command.args(["--service-node", "harness", "--service-cluster", "harness"]);
        command.args(["--log-level", "warning", "--component-log-level", levels]);
        command.args(["--file-flush-interval-msec", "20", "--drain-time-s", "1"]);
        command.envs(environment.iter().cloned());
        let mut process = Process::start(command, &directory.path().join("error.log"))?;
        process.wait_until(|| is_live(admin)).await.context("starting envoy")?;
        Ok(Self { kind: envoy::kind(), process, directory, ports: BTreeMap::new(), admin: Some(admin) })
    }

    /// Where `policy` is in force.
    #[must_use]
    pub fn ports(&self, policy: &str) -> Ports {
        *self.ports.get(policy).unwrap_or_else(|| panic!("no listener for the policy {policy:?}"))
    }

    /// Its own directory: configuration, logs, temporary files.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Envoy's admin port.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What it logged, start-up messages included.
    #[must_use]
    pub fn log(&self) -> String {
        read_lossy(&self.directory.path().join("output.log")) + &read_lossy(&self.directory.path().join("error.log"))
    }

    /// The access log as far as it is written.
    #[must_use]
    pub fn access_log(&self) -> String {
        read_lossy(&self.directory.path().join("access.log"))
    }

    /// The access log's line about `id`, as soon as it is there.
    pub async fn access_line(&self, id: &str) -> Option<String> {
        self.nth_access_line(id, 1).await
    }

    /// The `nth` of its lines about `id`, from 1.
    pub async fn nth_access_line(&self, id: &str, nth: usize) -> Option<String> {
        nth_line(&self.directory.path().join("access.log"), id, nth).await
    }

    /// `nginx -s reload`: the master starts new workers and retires the old ones.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// The processes that do the work: nginx's workers, or Envoy itself.
    #[must_use]
    pub fn workers(&self) -> Vec<i32> {
        if self.kind.is_nginx() { self.process.children() } else { vec![self.process.pid()] }
    }

    /// Kills one worker by force.
    pub fn kill_worker(&self, pid: i32) -> Result<()> {
        process::send_signal(pid, Signal::KILL)
    }

    /// Kills all of it by force, and returns when it is gone.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// CPU time of each worker, to the nanosecond: nginx's worker processes, or Envoy's worker threads.
    pub fn worker_cpu(&self) -> Result<Vec<Duration>> {
        // One that is started by a loader of its own is called after that.
        let name = if self.kind.is_nginx() { "" } else { "wrk:" };
        let mut used = Vec::new();
        for worker in self.workers() {
            used.extend(process::thread_cpu(worker, name)?);
        }
        Ok(used)
    }

    /// Stops one worker where it is, until [`Proxy::resume_worker`].
    pub fn stop_worker(&self, pid: i32) -> Result<()> {
        process::send_signal(pid, Signal::STOP)
    }

    /// Lets a stopped worker go on.
    pub fn resume_worker(&self, pid: i32) -> Result<()> {
        process::send_signal(pid, Signal::CONT)
    }
}

/// The `nth` line about `id` in an access log, from 1: logs are written some time after the answer. Where the proxy's own
/// log is in the same file, its lines about refusals do not count.
pub async fn nth_line(log: &Path, id: &str, nth: usize) -> Option<String> {
    clock::comes(Duration::from_secs(5), || {
        let log = read_lossy(log);
        // A line is whole only with its end.
        let is_whole = |line: &&str| line.ends_with('\n') && !line.contains("secure_callbacks: callback ");
        let mut lines = log.split_inclusive('\n').filter(is_whole).filter(|line| line.contains(id));
        lines.nth(nth - 1).map(|line| line.trim_end().to_owned())
    })
    .await
}

/// What `nginx -t` says to a configuration.
pub fn check_nginx(kind: ProxyKind, directory: &Directory, config: &str, environment: &Environment) -> Result<Outcome> {
    let config = directory.write("nginx.conf", config)?;
    let mut command = nginx_command(kind, directory, &config)?;
    command.arg("-t").envs(environment.iter().cloned());
    process::run(command, &directory.path().join("check.log"))
}

/// What `envoy --mode validate` says to these listeners.
pub fn check_envoy(directory: &Directory, listeners: &[envoy::Listener], environment: &Environment) -> Result<Outcome> {
    let admin = SocketAddr::from(([127, 0, 0, 1], 0));
    let bootstrap = envoy::bootstrap(admin, Path::new("/dev/null"), listeners);
    let config = directory.write("envoy.json", serde_json::to_vec_pretty(&bootstrap)?)?;
    let mut command = envoy_command()?;
    command.args(["--mode", "validate", "--config-path"]).arg(config).args(["--log-level", "warning"]);
    command.envs(environment.iter().cloned());
    process::run(command, &directory.path().join("check.log"))
}

fn envoy_command() -> Result<Command> {
    let kind = envoy::kind();
    let mut command = Command::new(tools::program(kind)?);
    // Where the module is found by its name.
    command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", tools::dist(kind));
    Ok(command)
}

fn nginx_command(kind: ProxyKind, directory: &Directory, config: &Path) -> Result<Command> {
    let mut command = Command::new(tools::program(kind)?);
    // Without -e the first lines would go to the log that was compiled in.
    command.arg("-p").arg(directory.path()).arg("-c").arg(config).args(["-e", "error.log"]);
    Ok(command)
}

async fn is_live(admin: SocketAddr) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = TcpStream::connect(admin).await.ok()?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer.starts_with(b"HTTP/1.1 200"))
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await.ok().flatten().unwrap_or(false)
}
