//! Envoy's configuration, as the JSON it reads.
use crate::tools::{self, ProxyKind};
use serde_json::{Value, json};
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// How the policy is written into the plugin's configuration. Both are in use, so both are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `google.protobuf.Struct`.
    Struct,
    /// `google.protobuf.StringValue` holding JSON text.
    Text,
}

thread_local! {
    static KIND: Cell<ProxyKind> = const { Cell::new(ProxyKind::Envoy) };
}

/// Runs a test on this thread with filters for one of the two hosts in Envoy, where `kind` is one.
pub fn with<T>(kind: ProxyKind, test: impl FnOnce() -> T) -> T {
    let before = KIND.replace(if kind.is_nginx() { ProxyKind::Envoy } else { kind });
    let result = test();
    KIND.set(before);
    result
}

/// Which of the two hosts in Envoy the present test is for.
#[must_use]
pub fn kind() -> ProxyKind {
    KIND.get()
}

/// One listener with one filter before one upstream.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where it listens: HTTP/1.1 and HTTP/2 with prior knowledge alike.
    pub address: SocketAddr,
    /// The HTTP filters before the router; empty for a plain proxy.
    pub filters: Vec<Value>,
    /// Merged into the connection manager's settings (`null` takes one away).
    pub settings: Value,
    /// The transport socket: `null` for plain TCP, [`tls`] for TLS.
    pub transport: Value,
    /// How much of a body Envoy holds.
    pub buffer_limit: u32,
    /// Whether the module is handed the clients' certificates, where it needs that for their names.
    pub hands_certificates: bool,
    /// Where requests go.
    pub upstream: SocketAddr,
}

impl Listener {
    /// A listener with the filter under `policy`.
    #[must_use]
    pub fn new(address: SocketAddr, upstream: SocketAddr, filter: Value) -> Self {
        // Larger than any max_body_size in use, so that the filter's own limit is what answers.
        let buffer_limit = 4 * 1024 * 1024;
        Self {
            address,
            filters: vec![filter],
            settings: json!({}),
            transport: Value::Null,
            buffer_limit,
            hands_certificates: true,
            upstream,
        }
    }
}

/// The policy as the plugin's `configuration`.
#[must_use]
pub fn configuration(policy: &Value, form: Form) -> Value {
    match form {
        Form::Struct => json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": policy }),
        Form::Text => {
            json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy.to_string() })
        }
    }
}

/// The filter under `policy`. Filters of one proxy share a VM, as a user's would. `host_env_keys` are the variables of
/// the machine that the policy may name.
#[must_use]
pub fn filter(policy: &Value, form: Form, host_env_keys: &[&str]) -> Value {
    if kind() == ProxyKind::EnvoyModule {
        return module_filter("secure_callbacks", configuration(policy, form));
    }
    json!({
        "name": "secure_callbacks",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "secure_callbacks",
                "root_id": "secure_callbacks",
                "allow_on_headers_stop_iteration": true,
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "vm_id": "secure_callbacks",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": tools::target().join("dist/secure_callbacks.wasm") } },
                    "environment_variables": { "host_env_keys": host_env_keys },
                },
                "configuration": configuration(policy, form),
            },
        },
    })
}

/// The dynamic module under a configuration (or none, `null`), called `name`. It reads all of the environment.
#[must_use]
pub fn module_filter(name: &str, configuration: Value) -> Value {
    let mut config = json!({
        "@type": MODULE_TYPE,
        "dynamic_module_config": { "name": "secure_callbacks" },
        "filter_name": name,
    });
    if !configuration.is_null() {
        config["filter_config"] = configuration;
    }
    json!({ "name": "secure_callbacks", "typed_config": config })
}

const MODULE_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// Where a filter has its configuration.
pub fn configuration_of(filter: &mut Value) -> &mut Value {
    let config = &mut filter["typed_config"];
    if kind() == ProxyKind::EnvoyModule { &mut config["filter_config"] } else { &mut config["config"]["configuration"] }
}

/// Hands the client's certificate to the module, which Envoy does not.
fn peer_certificate() -> Value {
    json!({
        "name": "peer_certificate",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "secure_callbacks.peer_certificate",
                "factory_key": "envoy.string",
                "format_string": { "text_format_source": { "inline_string": "%DOWNSTREAM_PEER_CERT%" } },
            }],
        },
    })
}

/// TLS 1.2 and 1.3 with the server certificate `files.0` and its key `files.1`. `validation` is Envoy's
/// `validation_context`, `null` for none; `required` is `require_client_certificate`.
#[must_use]
pub fn tls(files: (&Path, &Path), validation: Value, required: bool) -> Value {
    let mut common = json!({
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3" },
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [
            { "certificate_chain": { "filename": files.0 }, "private_key": { "filename": files.1 } },
        ],
    });
    if !validation.is_null() {
        common["validation_context"] = validation;
    }
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": required,
            "common_tls_context": common,
        },
    })
}

/// A filter named `name` that takes its configuration from the file `name.json` in `directory`, and again whenever
/// another file is moved over it. [`discovery`] is what goes into the file.
#[must_use]
pub fn discovered(name: &str, directory: &Path) -> Value {
    json!({
        "name": name,
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": directory.join(format!("{name}.json")),
                    "watched_directory": { "path": directory },
                },
            },
            "type_urls": [match kind() {
                ProxyKind::EnvoyModule => MODULE_TYPE,
                _ => "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            }],
        },
    })
}

/// The `filter` as the answer of a discovery service to the listener's question for `name`.
#[must_use]
pub fn discovery(name: &str, filter: &Value) -> Value {
    json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": name,
        "typed_config": filter["typed_config"],
    }] })
}

/// The whole configuration: the admin port, the listeners, and an access log at `access_log`.
#[must_use]
pub fn bootstrap(admin: SocketAddr, access_log: &Path, listeners: &[Listener]) -> Value {
    let is_module = kind() == ProxyKind::EnvoyModule;
    let (mut listening, mut clusters) = (Vec::new(), Vec::new());
    for (index, listener) in listeners.iter().enumerate() {
        let name = format!("listener_{index}");
        let mut chain = json!({ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(&name, listener, access_log),
        }] });
        if !listener.transport.is_null() {
            chain["transport_socket"] = listener.transport.clone();
        }
        listening.push(json!({
            "name": name,
            "address": address(listener.address),
            "per_connection_buffer_limit_bytes": listener.buffer_limit,
            "filter_chains": [chain],
        }));
        clusters.push(json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [
                { "endpoint": { "address": address(listener.upstream) } }
            ] }] },
        }));
    }
    json!({
        "admin": { "address": address(admin) },
        // The module's metrics under their own names.
        "layered_runtime": { "layers": [{ "name": "module", "static_layer": if is_module {
            json!({ "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true })
        } else {
            json!({})
        } }] },
        "static_resources": { "listeners": listening, "clusters": clusters },
        // What makes labels of the parts of the metrics' names.
        "stats_config": { "stats_tags": [
            { "tag_name": "policy", "regex": r"^wasmcustom\.secure_callbacks_\w+(\.policy\.([\w-]+))" },
            {
                "tag_name": "result",
                "regex": r"^wasmcustom\.secure_callbacks_\w+\.policy\.[\w-]+(\.result\.(\w+))",
            },
        ] },
    })
}

/// What the access log keeps of each request, in this order.
const ACCESS_LOG: &str = "%REQ(:PATH)% %RESPONSE_CODE% %FILTER_STATE(wasm.secure_callbacks_result:PLAIN)% \
    %FILTER_STATE(wasm.secure_callbacks_api_key:PLAIN)% %FILTER_STATE(wasm.secure_callbacks_application_id:PLAIN)% \
    %FILTER_STATE(wasm.secure_callbacks_jti:PLAIN)%\n";

fn connection_manager(name: &str, listener: &Listener, access_log: &Path) -> Value {
    let is_module = kind() == ProxyKind::EnvoyModule;
    let mut filters = listener.filters.clone();
    if is_module && listener.hands_certificates && !listener.transport.is_null() {
        filters.insert(0, peer_certificate());
    }
    let log_format = if is_module { ACCESS_LOG.replace("wasm.", "") } else { ACCESS_LOG.into() };
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    let mut settings = json!({
        "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": true,
        "stream_idle_timeout": "20s",
        "http_protocol_options": { "enable_trailers": true },
        "http_filters": filters,
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": name, "timeout": "20s" } }],
        }] },
        "access_log": [{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": access_log,
                "log_format": { "text_format_source": { "inline_string": log_format } },
            },
        }],
    });
    if let (Some(settings), Some(more)) = (settings.as_object_mut(), listener.settings.as_object()) {
        settings.extend(more.clone());
        settings.retain(|_, value| !value.is_null());
    }
    settings
}

fn address(address: SocketAddr) -> Value {
    let mut socket = json!({ "address": address.ip().to_string(), "port_value": address.port() });
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // One socket for both families, as with nginx's `ipv6only=off`.
        socket["ipv4_compat"] = json!(true);
    }
    json!({ "socket_address": socket })
}
