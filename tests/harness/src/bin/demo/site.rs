//! What the demo runs: the application, and the proxies with the example configurations as they are.
use crate::SECRET;
use crate::holders::Holders;
use anyhow::{Context, Result, bail};
use secure_callbacks_harness::proxy::{Ports, Process, nth_line};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use tokio::net::TcpStream;

/// The ports of the example configurations, and whose they are.
const PORTS: [(u16, &str); 10] = [
    (18080, "the application"),
    (18081, "Envoy"),
    (18082, "Nginx"),
    (18083, "Nginx, HTTP/2"),
    (18084, "Envoy's admin"),
    (18085, "Envoy with the module"),
    (18086, "Envoy with the module, admin"),
    (18443, "Envoy, TLS"),
    (18444, "Nginx, TLS"),
    (18445, "Envoy with the module, TLS"),
];

/// A way to the application.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    Envoy,
    EnvoyModule,
    Nginx,
}

impl Through {
    /// In the table's order.
    pub(crate) const ALL: [Self; 3] = [Self::Envoy, Self::EnvoyModule, Self::Nginx];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::EnvoyModule => "Envoy, module",
            Self::Nginx => "Nginx",
        }
    }

    pub(crate) fn ports(self) -> Ports {
        match self {
            Self::Envoy => Ports { http1: local(18081), http2: local(18081) },
            Self::EnvoyModule => Ports { http1: local(18085), http2: local(18085) },
            Self::Nginx => Ports { http1: local(18082), http2: local(18083) },
        }
    }

    pub(crate) fn tls(self) -> SocketAddr {
        match self {
            Self::Envoy => local(18443),
            Self::EnvoyModule => local(18445),
            Self::Nginx => local(18444),
        }
    }

    fn log(self) -> PathBuf {
        match self {
            Self::Envoy => directory().join("envoy/output.log"),
            Self::EnvoyModule => directory().join("envoy-module/output.log"),
            Self::Nginx => directory().join("nginx/logs/access.log"),
        }
    }
}

/// All of it, running. The proxies end when it is dropped.
pub(crate) struct Site {
    pub(crate) upstream: Upstream,
    pub(crate) holders: Holders,
    _proxies: [Process; 3],
    /// Every id sent, and how often it was to reach the application.
    sent: Mutex<BTreeMap<String, usize>>,
}

impl Site {
    pub(crate) async fn start() -> Result<Self> {
        for (port, owner) in PORTS {
            if TcpListener::bind(local(port)).is_err() {
                bail!("port {port} ({owner}) is taken: stop what listens there, then start again");
            }
        }
        let upstream = Upstream::start_at(local(18080)).await?;
        let _ = std::fs::remove_dir_all(directory());
        let holders = Holders::make(&made(&directory().join("tls"))?)?;
        let mut proxies = [
            start_envoy(ProxyKind::Envoy, "envoy", "envoy")?,
            start_envoy(ProxyKind::EnvoyModule, "envoy-module", "envoy/module")?,
            start_nginx()?,
        ];
        for (process, through) in proxies.iter_mut().zip(Through::ALL) {
            let port = through.ports().http2;
            let answers = || async move { TcpStream::connect(port).await.is_ok() };
            process.wait_until(answers).await.with_context(|| format!("{} at {port}", through.name()))?;
        }
        Ok(Self { upstream, holders, _proxies: proxies, sent: Mutex::default() })
    }

    /// Notes what was sent, for [`Site::unexpected`].
    pub(crate) fn sent(&self, id: &str, due: usize) {
        self.sent.lock().unwrap().insert(id.to_owned(), due);
    }

    /// Whatever the application received and should not have.
    pub(crate) fn unexpected(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        let mut wrong = Vec::new();
        for id in self.upstream.seen() {
            let (due, got) = (sent.get(&id).copied().unwrap_or(0), self.upstream.deliveries(&id));
            if got != due || due == 0 {
                wrong.push(format!("the application received {got} requests with the id {id} instead of {due}"));
            }
        }
        let totals = self.upstream.totals();
        if totals.without_id + totals.broken > 0 {
            wrong.push(format!("the application received what nobody sent: {totals:?}"));
        }
        wrong
    }

    /// The code in the access log's `nth` line (from 1) about `id`.
    pub(crate) async fn logged_code(&self, through: Through, id: &str, nth: usize) -> String {
        let Some(line) = nth_line(&through.log(), id, nth).await else { return "(no line in the access log)".into() };
        let code = line.split_whitespace().find_map(|word| word.strip_prefix("result="));
        code.unwrap_or("(no result in the access log)").to_owned()
    }
}

/// Envoy with the examples in `examples`, its log in the folder `name`.
fn start_envoy(kind: ProxyKind, name: &str, examples: &str) -> Result<Process> {
    let tools = tools::find(kind)?;
    let folder = made(&directory().join(name))?;
    let mut command = Command::new(tools.program);
    command.current_dir(tools::root()).env("VIDEO_SECRET", SECRET).arg("-c").arg(format!("{examples}/envoy.yaml"));
    command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", "target/dist");
    command.arg("--config-yaml").arg(std::fs::read_to_string(tools::root().join(examples).join("tls.yaml"))?);
    command.args(["--use-dynamic-base-id", "--concurrency", "2", "--file-flush-interval-msec", "50"]);
    Process::start(command, &folder.join("output.log"))
}

fn start_nginx() -> Result<Process> {
    let tools = tools::find(ProxyKind::system_nginx())?;
    let folder = made(&directory().join("nginx"))?;
    for name in ["modules", "logs", "tmp", "secrets"] {
        made(&folder.join(name))?;
    }
    // Nginx takes relative paths to be in the folder of its configuration, so that belongs there with the rest.
    let config = folder.join("nginx.conf");
    for (from, to) in [
        (tools.filter, folder.join("modules/ngx_http_secure_callbacks_module.so")),
        (tools::root().join("nginx/nginx.conf"), config.clone()),
        (directory().join("tls"), folder.join("tls")),
    ] {
        std::os::unix::fs::symlink(&from, &to).with_context(|| format!("linking {}", to.display()))?;
    }
    std::fs::write(folder.join("secrets/video"), format!("{SECRET}\n"))?;
    let mut command = Command::new(tools.program);
    command.current_dir(&folder).arg("-p").arg(&folder).arg("-c").arg(config);
    command.args(["-e", "logs/error.log", "-g", "daemon off;"]);
    Process::start(command, &folder.join("output.log"))
}

fn directory() -> PathBuf {
    tools::target().join("demo")
}

fn made(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.to_owned())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
