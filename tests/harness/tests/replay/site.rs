//! A proxy under one or more policies, the application behind it, and what the tests ask of them.
use crate::callback::Callback;
use crate::config::{NAMES, discover, discovered_in, envoy_settings, nginx_config};
use anyhow::{Context, Result, bail, ensure};
use secure_callbacks_harness::proxy::{Directory, Ports, Proxy, envoy};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message, Reply};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::Framing;
use secure_callbacks_support::token::{API_KEY, SECRET};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// A second account, with a secret of its own.
pub(crate) const OTHER_API_KEY: &str = "b2c3d4e";
/// Its secret.
pub(crate) const OTHER_SECRET: &str = "the-first-signature-secret-of-b2c3d4e";

/// The policy of most tests, with `more` of its fields.
pub(crate) fn policy(more: Value) -> Value {
    let mut policy = json!({
        "accounts": [
            { "api_key": API_KEY, "secrets": [format!("text:{SECRET}")] },
            { "api_key": OTHER_API_KEY, "secrets": [format!("text:{OTHER_SECRET}")] },
        ],
        "expose_reason": true,
    });
    if let (Some(policy), Value::Object(more)) = (policy.as_object_mut(), more) {
        policy.extend(more);
    }
    policy
}

/// What a site is made of.
pub(crate) struct Plan {
    /// Each with a server or listener of its own. They are named `first`, `second` and so on.
    pub(crate) policies: Vec<Value>,
    /// Further lines for every nginx server.
    pub(crate) nginx: &'static str,
    /// Further lines for nginx, beside its servers.
    pub(crate) nginx_http: &'static str,
    /// Where the application is to be, though nothing listens there yet.
    pub(crate) absent: Option<SocketAddr>,
}

impl Plan {
    /// One policy, and the application there from the start.
    pub(crate) fn of(policy: Value) -> Self {
        Self { policies: vec![policy], nginx: "", nginx_http: "", absent: None }
    }
}

/// A running proxy and the application behind it. What is asked for below `/brief/` must be answered within a second,
/// anything else within 90.
pub(crate) struct Site {
    pub(crate) kind: ProxyKind,
    pub(crate) proxy: Proxy,
    pub(crate) upstream: Upstream,
    ports: Vec<Ports>,
    nginx: [&'static str; 2],
}

/// How long a configuration may take to be in force.
const PATIENCE: Duration = Duration::from_secs(15);

impl Site {
    /// Starts it.
    pub(crate) fn start(kind: ProxyKind, plan: Plan) -> Result<Self> {
        tools::find(kind)?;
        wait(async {
            let upstream = Upstream::start().await?;
            let application = plan.absent.unwrap_or(upstream.address());
            let mut ports = Vec::new();
            for _ in &plan.policies {
                ports.push(Ports::new(kind)?);
            }
            let directory = Directory::new("replay")?;
            let proxy = if kind.is_nginx() {
                let config = nginx_config(kind, &plan.policies, &ports, application, [plan.nginx_http, plan.nginx])?;
                Proxy::nginx(kind, directory, &config, &Vec::new()).await?
            } else {
                std::fs::create_dir(discovered_in(&directory))?;
                let mut listeners = Vec::new();
                for (index, policy) in plan.policies.iter().enumerate() {
                    discover(&directory, index, policy)?;
                    let filter = envoy::discovered(NAMES[index], &discovered_in(&directory));
                    let mut listener = envoy::Listener::new(ports[index].http1, application, filter);
                    listener.settings = envoy_settings(index);
                    listeners.push(listener);
                }
                Proxy::envoy(directory, &listeners, &Vec::new()).await?
            };
            Ok(Self { kind, proxy, upstream, ports, nginx: [plan.nginx_http, plan.nginx] })
        })
    }

    /// Where a policy is in force.
    pub(crate) fn ports(&self, policy: usize) -> Ports {
        self.ports[policy]
    }

    /// The same sender, another application.
    pub(crate) fn with_upstream(self, upstream: Upstream) -> Self {
        Self { upstream, ..self }
    }

    /// Sends to the first policy.
    pub(crate) fn send(&self, callback: &Callback) -> Result<Reply> {
        wait(send::send(self.ports[0], &callback.message))
    }

    /// The first policy accepts it, and the application has it then `times` in all.
    pub(crate) fn accepts(&self, callback: &Callback, times: usize) -> Result<()> {
        self.accepted(callback, &self.send(callback)?, times)
    }

    /// The application's own 200, after `times` deliveries in all, the last of them with the filter's word for it.
    pub(crate) fn accepted(&self, callback: &Callback, reply: &Reply, times: usize) -> Result<()> {
        ensure!(reply.status == 200, "not accepted: {} {}", reply.status, reply.text());
        let requests = self.upstream.requests(&callback.id);
        ensure!(requests.len() == times, "{} deliveries instead of {times}", requests.len());
        let verdict = requests.last().and_then(|request| request.headers.text("x-callback-verified"));
        ensure!(verdict.as_deref() == Some("accepted"), "X-Callback-Verified: {verdict:?}");
        Ok(())
    }

    /// The first policy refuses it as a replay of what was taken, and the application gets nothing of it.
    pub(crate) fn refuses(&self, callback: &Callback) -> Result<()> {
        self.holds_back(callback, 401, "replayed", None)
    }

    /// The first policy knows that it is on its way, and the application gets nothing of it. The sender is to try
    /// again; Envoy's sandbox can't tell it from what was taken.
    pub(crate) fn is_on_its_way(&self, callback: &Callback) -> Result<()> {
        if self.kind.tells_what_is_on_its_way() {
            self.holds_back(callback, 503, "replay_in_flight", Some("5"))
        } else {
            self.refuses(callback)
        }
    }

    fn holds_back(&self, callback: &Callback, status: u16, code: &str, retry_after: Option<&str>) -> Result<()> {
        let before = self.upstream.deliveries(&callback.id);
        let reply = self.send(callback)?;
        ensure!(
            reply.status == status && reply.code().as_deref() == Some(code),
            "not {status} {code}: {} {}",
            reply.status,
            reply.text()
        );
        let told = reply.headers.text("retry-after");
        ensure!(told.as_deref() == retry_after, "Retry-After: {told:?} instead of {retry_after:?}");
        ensure!(self.upstream.deliveries(&callback.id) == before, "refused, but delivered");
        Ok(())
    }

    /// Waits until the application has received it `times`.
    pub(crate) fn arrives(&self, callback: &Callback, times: usize) -> Result<()> {
        ensure!(
            wait(self.upstream.arrives(&callback.id, times)),
            "{} deliveries, {times} awaited",
            self.upstream.deliveries(&callback.id)
        );
        Ok(())
    }

    /// The gauge of remembered callbacks of a policy.
    pub(crate) fn entries(&self, policy: usize) -> Result<Option<u64>> {
        let (address, path) = match self.proxy.admin() {
            Some(admin) => (admin, "/stats/prometheus"),
            None => (self.ports[0].http1, "/metrics"),
        };
        let label = format!("policy=\"{}\"", NAMES[policy]);
        let metrics = get(address, path)?;
        let lines = metrics.lines().filter(|line| line.starts_with("secure_callbacks_replay_entries{"));
        let value = lines.filter(|line| line.contains(&label)).find_map(|line| line.rsplit_once(' '));
        value.map(|(_, value)| value.parse().with_context(|| format!("the gauge {value:?}"))).transpose()
    }

    /// Waits for the gauge: Envoy's is set once a second.
    pub(crate) fn entries_become(&self, policy: usize, due: u64) -> Result<()> {
        let mut found = None;
        // Envoy counts a large table a part a second, so that the whole is up to twice a pass behind.
        for _ in 0..450 {
            found = self.entries(policy)?;
            if found == Some(due) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("secure_callbacks_replay_entries is {found:?} instead of {due}")
    }

    /// Puts other policies in force, or the same again, while the proxy runs: a reload, or an update by discovery.
    pub(crate) fn reconfigure(&self, policies: &[Value]) -> Result<()> {
        ensure!(self.try_reconfigure(policies)?, "the configuration was not taken: {}", self.log_end());
        Ok(())
    }

    /// The same; false when the proxy refused them.
    pub(crate) fn try_reconfigure(&self, policies: &[Value]) -> Result<bool> {
        if self.kind.is_nginx() { self.reload(policies) } else { self.update(policies) }
    }

    fn reload(&self, policies: &[Value]) -> Result<bool> {
        let config = nginx_config(self.kind, policies, &self.ports, self.upstream.address(), self.nginx)?;
        self.proxy.directory().write("nginx.conf", config)?;
        let refusals = |log: &str| log.matches("[emerg]").count();
        let (before, refused) = (self.proxy.workers(), refusals(&self.proxy.log()));
        self.proxy.reload()?;
        self.until(|| {
            let new = self.proxy.workers().iter().filter(|worker| !before.contains(worker)).count();
            if refusals(&self.proxy.log()) > refused {
                return Ok(Some(false));
            }
            Ok((new >= 2).then_some(true))
        })
    }

    fn update(&self, policies: &[Value]) -> Result<bool> {
        let admin = self.proxy.admin().context("an admin port")?;
        for (index, policy) in policies.iter().enumerate() {
            let count = |what: &str| -> Result<u64> {
                let name = format!("extension_config_discovery.http_filter.{}.{what}", NAMES[index]);
                let stats = get(admin, &format!("/stats?filter={name}"))?;
                Ok(stats.trim().rsplit_once(": ").map_or(Ok(0), |(_, value)| value.parse())?)
            };
            let (taken, refused) = (count("config_reload")?, count("config_fail")?);
            discover(self.proxy.directory(), index, policy)?;
            let outcome = self.until(|| {
                if count("config_fail")? > refused {
                    return Ok(Some(false));
                }
                Ok((count("config_reload")? > taken).then_some(true))
            })?;
            if !outcome {
                return Ok(false);
            }
        }
        // The main thread has it; the workers follow within milliseconds.
        std::thread::sleep(Duration::from_millis(200));
        Ok(true)
    }

    /// Waits until none of these workers runs any more.
    pub(crate) fn without(&self, workers: &[i32]) -> Result<()> {
        let gone = |now: &[i32]| !now.iter().any(|worker| workers.contains(worker));
        self.until(|| Ok(gone(&self.proxy.workers()).then_some(true))).map(drop)
    }

    fn until(&self, outcome: impl Fn() -> Result<Option<bool>>) -> Result<bool> {
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(outcome) = outcome()? {
                return Ok(outcome);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("no new configuration after {PATIENCE:?}: {}", self.log_end())
    }

    /// The last lines of the proxy's log.
    pub(crate) fn log_end(&self) -> String {
        secure_callbacks_harness::proxy::tail(&self.proxy.log())
    }
}

/// The body of the answer to a GET.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut ask = Message::post(path, b"", None).framed(Framing::None);
    ask.method = "GET".into();
    let reply = wait(send::send_to(address, &ask))?;
    ensure!(reply.status == 200, "{path}: {} {}", reply.status, reply.text());
    Ok(reply.text())
}
