//! A proxy under one or more policies, the application behind it, and what the tests ask of them.
use crate::config::{NAMES, discover, discovered_in, envoy_settings, nginx_config};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::proxy::{Directory, Ports, Proxy, envoy};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, http1};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::merged;
use secure_callbacks_support::token::{API_KEY, SECRET};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

/// A second account, with a secret of its own.
pub(crate) const OTHER_API_KEY: &str = "b2c3d4e";
/// Its secret.
pub(crate) const OTHER_SECRET: &str = "the-first-signature-secret-of-b2c3d4e";

/// The policy of most tests, with `more` of its fields.
pub(crate) fn policy(more: Value) -> Value {
    let policy = json!({
        "accounts": [
            { "api_key": API_KEY, "secrets": [format!("text:{SECRET}")] },
            { "api_key": OTHER_API_KEY, "secrets": [format!("text:{OTHER_SECRET}")] },
        ],
        "expose_reason": true,
    });
    merged(policy, &more)
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
    running: Running,
    nginx: [&'static str; 2],
}

impl Deref for Site {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// How long a configuration may take to be in force.
const PATIENCE: Duration = Duration::from_secs(15);

impl Site {
    /// Starts it.
    pub(crate) fn start(kind: ProxyKind, plan: Plan) -> Result<Self> {
        tools::find(kind)?;
        let ports = plan.policies.iter().map(|_| Ports::new(kind)).collect::<Result<Vec<_>>>()?;
        let directory = Directory::new("replay")?;
        let nginx = [plan.nginx_http, plan.nginx];
        let running = Running::start(async |application| {
            let application = plan.absent.unwrap_or(application);
            if kind.is_nginx() {
                let config = nginx_config(kind, &plan.policies, &ports, application, nginx)?;
                Proxy::nginx(kind, directory, &config, &Vec::new()).await
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
                Proxy::envoy(directory, &listeners, &Vec::new()).await
            }
        })?;
        Ok(Self { kind, running: running.at(ports), nginx })
    }

    /// The same sender, another application.
    pub(crate) fn with_upstream(self, upstream: Upstream) -> Self {
        Self { running: Running { upstream, ..self.running }, ..self }
    }

    /// Kills the proxy by force, all of it, and starts it anew before the same application.
    pub(crate) fn killed_and_started_anew(self, plan: Plan) -> Result<Self> {
        let Running { proxy, upstream, .. } = self.running;
        proxy.kill();
        Ok(Self::start(self.kind, Plan { absent: Some(upstream.address()), ..plan })?.with_upstream(upstream))
    }

    /// Sends to the first policy, up to the application, whose answer is to be read from the connection.
    pub(crate) fn begin(&self, callback: &Callback) -> Result<http1::Connection> {
        let mut connection = wait(http1::Connection::open(self.ports[0].http1))?;
        wait(connection.write(&callback.wire()))?;
        self.arrives(callback, 1)?;
        Ok(connection)
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
        reply.is(status, code)?;
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
        let metrics = wait(send::get(address, path))?;
        let lines = metrics.lines().filter(|line| line.starts_with("secure_callbacks_replay_entries{"));
        let value = lines.filter(|line| line.contains(&label)).find_map(|line| line.rsplit_once(' '));
        value.map(|(_, value)| value.parse().with_context(|| format!("the gauge {value:?}"))).transpose()
    }

    /// Waits for the gauge: Envoy's is set once a second.
    pub(crate) fn entries_become(&self, policy: usize, due: u64) -> Result<()> {
        let mut found = None;
        // Envoy counts a large table a part a second, so that the whole is up to twice a pass behind.
        let came = until(Duration::from_secs(45), || {
            found = self.entries(policy)?;
            Ok((found == Some(due)).then_some(()))
        })?;
        came.with_context(|| format!("secure_callbacks_replay_entries is {found:?} instead of {due}"))
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
                let stats = wait(send::get(admin, &format!("/stats?filter={name}")))?;
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
        until(PATIENCE, outcome)?
            .with_context(|| format!("no new configuration after {PATIENCE:?}: {}", self.log_end()))
    }
}
