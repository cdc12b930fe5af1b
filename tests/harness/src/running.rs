//! A proxy and the application behind it, as most tests have them: how they start, and what they must have made of a
//! callback.
use crate::callback::Callback;
use crate::proxy::{Directory, Environment, Ports, Proxy, envoy, nginx, tail};
use crate::runtime::wait;
use crate::send::{self, Reply};
use crate::tools::{self, ProxyKind};
use crate::upstream::Upstream;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// The two of them.
pub struct Running {
    /// The proxy.
    pub proxy: Proxy,
    /// The application.
    pub upstream: Upstream,
    /// Where the proxy listens, if that is where [`Running::send`] sends: to the first.
    pub ports: Vec<Ports>,
}

impl Running {
    /// Starts the application, and then the proxy before it, which `start` starts.
    pub fn start(start: impl AsyncFnOnce(SocketAddr) -> Result<Proxy>) -> Result<Self> {
        wait(Self::launch(start))
    }

    /// The same inside the runtime.
    pub async fn launch(start: impl AsyncFnOnce(SocketAddr) -> Result<Proxy>) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let proxy = start(upstream.address()).await?;
        Ok(Self { proxy, upstream, ports: Vec::new() })
    }

    /// The same, listening there.
    #[must_use]
    pub fn at(self, ports: Vec<Ports>) -> Self {
        Self { ports, ..self }
    }

    /// Sends a callback.
    pub fn send(&self, callback: &Callback) -> Result<Reply> {
        wait(send::send(self.ports[0], &callback.message))
    }

    /// Sends one that is accepted, and that the application has `times` then.
    pub fn accepts(&self, callback: &Callback, times: usize) -> Result<()> {
        self.accepted(callback, &self.send(callback)?, times)
    }

    /// Sends one that is refused with `code`.
    pub fn refuses_with(&self, callback: &Callback, code: &str) -> Result<()> {
        self.refused(callback, &self.send(callback)?, code)
    }

    /// Sends one that was accepted before.
    pub fn knows(&self, callback: &Callback) -> Result<()> {
        self.send(callback)?.is(401, "replayed")
    }

    /// The reply is the application's, which has the callback `times`, byte for byte.
    pub fn arrived(&self, callback: &Callback, reply: &Reply, times: usize) -> Result<()> {
        ensure!(reply.status == 200, "not accepted: {} {}", reply.status, reply.text());
        let requests = self.upstream.requests(&callback.id);
        ensure!(requests.len() == times, "{} deliveries instead of {times}", requests.len());
        ensure!(requests.iter().all(|request| request.body == callback.message.body()), "the body was changed");
        Ok(())
    }

    /// It arrived, and each time with the filter's word that it is genuine.
    pub fn accepted(&self, callback: &Callback, reply: &Reply, times: usize) -> Result<()> {
        self.arrived(callback, reply, times)?;
        for request in self.upstream.requests(&callback.id) {
            let verdict = request.headers.text("x-callback-verified");
            ensure!(verdict.as_deref() == Some("accepted"), "X-Callback-Verified: {verdict:?}");
        }
        Ok(())
    }

    /// The reply is a refusal with `code`, and nothing of it reached the application.
    pub fn refused(&self, callback: &Callback, reply: &Reply, code: &str) -> Result<()> {
        reply.is(401, code)?;
        self.untouched(callback)
    }

    /// Nothing of it reached the application, nor does within a moment.
    pub fn untouched(&self, callback: &Callback) -> Result<()> {
        std::thread::sleep(Duration::from_millis(100));
        let arrived = self.upstream.requests(&callback.id);
        ensure!(!self.upstream.saw(&callback.id), "it reached the application: {arrived:?}");
        Ok(())
    }

    /// The last lines of the proxy's log.
    #[must_use]
    pub fn log_end(&self) -> String {
        tail(&self.proxy.log())
    }
}

/// An nginx with one server, on ports of its own.
pub struct Nginx<'p> {
    /// Which one.
    pub kind: ProxyKind,
    /// Where it is to run.
    pub directory: Directory,
    /// What stands beside the server, such as the policies.
    pub http: String,
    /// What stands in it.
    pub server: String,
    /// Variables that it is told of.
    pub environment: Environment,
    /// A text of the harness's configuration, and what stands there instead.
    pub instead: Option<[&'p str; 2]>,
    /// Whether it is to speak HTTP/3 too, if it can.
    pub http3: bool,
}

impl Nginx<'_> {
    /// With this server, and this beside it.
    pub fn new(kind: ProxyKind, http: impl Into<String>, server: impl Into<String>) -> Result<Self> {
        let (directory, environment) = (Directory::new(kind.name())?, Vec::new());
        Ok(Self { kind, directory, http: http.into(), server: server.into(), environment, instead: None, http3: false })
    }

    /// Starts it, with the module loaded.
    pub fn start(self) -> Result<Running> {
        let module = tools::find(self.kind)?.filter;
        let ports = Ports::new(self.kind)?;
        let ports = if self.http3 { ports.and_http3(self.kind) } else { ports };
        let Self { kind, directory, http, server, environment, instead, .. } = self;
        nginx::write_certificate(&directory)?;
        let running = Running::start(async |application| {
            let listen = nginx::listen(kind, ports);
            let http = format!("{}{http}    server {{ {listen} {server} }}\n", nginx::upstream(application));
            let mut config = nginx::config(Some(&module), &environment, &http);
            if let Some([text, other]) = instead {
                ensure!(config.contains(text), "the harness's configuration has no {text:?}: {config}");
                config = config.replace(text, other);
            }
            Proxy::nginx(kind, directory, &config, &environment).await
        })?;
        Ok(running.at(vec![ports]))
    }
}

/// An Envoy with listeners on ports of their own.
pub struct Envoy<'p> {
    /// The filters before the router, for each listener.
    pub filters: Vec<Vec<Value>>,
    /// Settings of every connection manager.
    pub settings: Value,
    /// Where it is to run.
    pub directory: Directory,
    /// Variables that it is told of.
    pub environment: Environment,
    /// What it logs, as its argument has it.
    pub levels: &'p str,
    /// How many workers it has.
    pub workers: usize,
}

impl Envoy<'_> {
    /// With a listener for each of these filters.
    pub fn new(filters: impl IntoIterator<Item = Value>) -> Result<Self> {
        tools::find(ProxyKind::Envoy)?;
        Ok(Self {
            filters: filters.into_iter().map(|filter| vec![filter]).collect(),
            settings: json!({}),
            directory: Directory::new("envoy")?,
            environment: Vec::new(),
            levels: "wasm:warning",
            workers: 2,
        })
    }

    /// Starts it.
    pub fn start(self) -> Result<Running> {
        let Self { filters, settings, directory, environment, levels, workers } = self;
        let ports = filters.iter().map(|_| Ports::new(ProxyKind::Envoy)).collect::<Result<Vec<_>>>()?;
        let running = Running::start(async |upstream| {
            let listeners: Vec<_> = filters
                .into_iter()
                .zip(&ports)
                .map(|(filters, ports)| {
                    let listener = envoy::Listener::new(ports.http1, upstream, Value::Null);
                    envoy::Listener { filters, settings: settings.clone(), ..listener }
                })
                .collect();
            Proxy::envoy_with(directory, &listeners, &environment, levels, workers).await
        })?;
        Ok(running.at(ports))
    }
}
