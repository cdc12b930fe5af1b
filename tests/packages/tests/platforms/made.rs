//! What a platform makes of an example, and an Envoy with that.
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use secure_callbacks_harness::proxy::{Directory, Process, free_port};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::token::SECRET;
use serde_json::{Value, json};

/// The documents of an example.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(tools::root().join(path)).expect(path);
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents.map(|document| serde::Deserialize::deserialize(document).expect(path)).collect()
}

/// What comes of an example.
pub(crate) struct Made {
    /// The filters before the router.
    pub(crate) filters: Vec<Value>,
    /// What switches them on for a route.
    pub(crate) per_route: Value,
    /// Fields of the connection manager.
    pub(crate) connection_manager: Value,
    /// Fields of the bootstrap.
    pub(crate) bootstrap: Value,
    /// The listener's transport socket, if any.
    pub(crate) transport: Value,
    /// Files of its own: what the pod has of the Secret.
    pub(crate) directory: Directory,
}

impl Made {
    pub(crate) fn new(filters: Vec<Value>, per_route: Value, connection_manager: Value) -> Self {
        let directory = Directory::new("platforms").expect("a directory");
        directory.write("video", SECRET).expect("a file");
        let (bootstrap, transport) = (json!({}), Value::Null);
        Self { filters, per_route, connection_manager, bootstrap, transport, directory }
    }

    /// The filters' paths as the pod has them become those of this machine: the module is in its image, the secret in a file.
    pub(crate) fn mounted(mut self, volumes: &Value, mounts: &Value) -> Self {
        let mut text = serde_json::to_string(&self.filters).expect("JSON");
        let volumes = volumes.as_array().expect("volumes");
        assert_eq!(volumes.len(), 2);
        for volume in volumes {
            let mount = crate::only(mounts, |mount| mount["name"] == volume["name"], "mount of a volume");
            let path = mount["mountPath"].as_str().expect("a path");
            assert!(text.contains(path), "nothing is read from {path}");
            let here = match volume["image"]["reference"].as_str() {
                Some(image) => {
                    assert!(
                        image.ends_with(concat!("/secure-callbacks-module:", env!("CARGO_PKG_VERSION"))),
                        "{image}"
                    );
                    tools::target().join("dist")
                }
                None => {
                    assert!(volume["secret"].is_object(), "{volume}");
                    self.directory.path().to_owned()
                }
            };
            text = text.replace(path, here.to_str().expect("a path"));
        }
        self.filters = serde_json::from_str(&text).expect("JSON");
        self
    }

    /// The module's filter.
    pub(crate) fn module(&mut self) -> &mut Value {
        self.filters.last_mut().expect("a filter")
    }

    /// The module's policy, as an object from now on.
    pub(crate) fn policy(&mut self) -> &mut Value {
        let configuration = &mut self.module()["typed_config"]["filter_config"];
        if let Some(text) = configuration["value"].as_str() {
            let policy: Value = serde_json::from_str(text).expect("JSON");
            *configuration = json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": policy });
        }
        &mut configuration["value"]
    }

    /// What `envoy --mode validate` says to it. It loads the filter and has it read the policy.
    pub(crate) fn validate(&self, envoy: &Path) -> Result<(), String> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let output =
            self.command(envoy, nowhere, nowhere, nowhere).args(["--mode", "validate"]).output().expect("Envoy");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// An Envoy with it, and the application behind.
    pub(crate) fn start(self, envoy: &Path) -> Site {
        let upstream = wait(Upstream::start()).expect("an application");
        let (address, admin) = (free_port().expect("a port"), free_port().expect("a port"));
        let command = self.command(envoy, address, admin, upstream.address());
        let mut process = Process::start(command, &self.directory.path().join("envoy.log")).expect("Envoy");
        wait(process.wait_until(|| async { TcpStream::connect(address).is_ok() })).expect("it listens");
        Site { upstream, address, admin, _process: process, _made: self }
    }

    fn command(&self, envoy: &Path, address: SocketAddr, admin: SocketAddr, application: SocketAddr) -> Command {
        let bootstrap = self.bootstrap(address, admin, application).to_string();
        let file = self.directory.write("envoy.json", bootstrap).expect("a file");
        let mut command = Command::new(envoy);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "--config-path"]);
        command.arg(file).env("VIDEO_SECRET", SECRET);
        command
    }

    /// A listener with the filters, with one route that switches them on, and another.
    fn bootstrap(&self, address: SocketAddr, admin: SocketAddr, application: SocketAddr) -> Value {
        let mut hcm = json!({
            "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "callbacks",
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
                { "name": "callbacks", "match": { "prefix": "/callbacks/" }, "route": { "cluster": "application" },
                  "typed_per_filter_config": self.per_route },
                { "name": "other", "match": { "prefix": "/" }, "route": { "cluster": "application" } },
            ] }] },
            "http_filters": self.filters,
        });
        let more = self.connection_manager.as_object().expect("fields").clone();
        let hcm_fields = hcm.as_object_mut().expect("fields");
        hcm_fields.extend(more);
        hcm_fields["http_filters"].as_array_mut().expect("filters").push(json!({ "name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }));
        let mut chain = json!({ "filters": [
            { "name": "envoy.filters.network.http_connection_manager", "typed_config": hcm },
        ] });
        if !self.transport.is_null() {
            chain["transport_socket"] = self.transport.clone();
        }
        let socket =
            |to: SocketAddr| json!({ "socket_address": { "address": to.ip().to_string(), "port_value": to.port() } });
        let cluster = |name: &str, to: SocketAddr| {
            json!({ "name": name, "load_assignment": { "cluster_name": name, "endpoints": [
                { "lb_endpoints": [{ "endpoint": { "address": socket(to) } }] },
            ] } })
        };
        let mut bootstrap = json!({
            "admin": { "address": socket(admin) },
            "static_resources": {
                "listeners": [{ "name": "callbacks", "address": socket(address), "filter_chains": [chain] }],
                "clusters": [cluster("application", application), cluster("nowhere", ([127, 0, 0, 1], 1).into())],
            },
        });
        bootstrap.as_object_mut().expect("fields").extend(self.bootstrap.as_object().expect("fields").clone());
        bootstrap
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.directory.path());
    }
}

/// A running Envoy.
pub(crate) struct Site {
    pub(crate) upstream: Upstream,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    _process: Process,
    _made: Made,
}

/// The Wasm module as a platform's agent leaves it: fetched, and in a file.
pub(crate) fn fetched() -> Value {
    let filter = tools::find(ProxyKind::Envoy).expect("the filter").filter;
    json!({ "local": { "filename": filter } })
}
