//! The examples for Istio and Envoy Gateway: what those make of them, put into a bootstrap, is a configuration that the
//! real Envoy takes, and the filter too.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

use std::process::Command;

use secure_callbacks_harness::proxy::Directory;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::token::SECRET;
use serde_json::{Value, json};

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// The documents of an example.
fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(tools::root().join(path)).expect(path);
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents.map(|document| serde::Deserialize::deserialize(document).expect(path)).collect()
}

/// What a platform makes of its example: the filter, what switches it on for a route, and fields of the connection manager.
struct Made {
    filter: Value,
    per_route: Value,
    connection_manager: Value,
}

/// What `envoy --mode validate` says to a listener with this filter and with one route that switches it on. It loads the
/// module and has it read the policy.
fn validate(Made { filter, per_route, connection_manager }: &Made) -> Result<(), String> {
    let mut hcm = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "callbacks",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
            { "name": "callbacks", "match": { "prefix": "/" }, "direct_response": { "status": 200 },
              "typed_per_filter_config": per_route },
        ] }] },
        "http_filters": [filter, { "name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
    });
    let more = connection_manager.as_object().expect("fields").clone();
    hcm.as_object_mut().expect("fields").extend(more);
    let bootstrap = json!({ "static_resources": { "listeners": [{
        "name": "callbacks",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [
            { "name": "envoy.filters.network.http_connection_manager", "typed_config": hcm },
        ] }],
    }] } });
    let directory = Directory::new("platforms").expect("a directory");
    let file = directory.write("envoy.json", bootstrap.to_string()).expect("a file");
    let output = Command::new(tools::program(ProxyKind::Envoy).expect("an Envoy"))
        .args(["--mode", "validate", "--use-dynamic-base-id", "--log-level", "warning", "--config-path"])
        .arg(file)
        .env("VIDEO_SECRET", SECRET)
        .output()
        .expect("Envoy");
    std::fs::remove_dir_all(directory.path()).expect("a directory");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The module as the platform's agent leaves it: fetched, and in a file.
fn fetched() -> Value {
    let filter = tools::find(ProxyKind::Envoy).expect("the filter").filter;
    json!({ "local": { "filename": filter } })
}

/// What Istio puts into a gateway.
fn istio() -> Made {
    let example = documents("envoy/istio/secure-callbacks.yaml").remove(0);
    let patches = example["spec"]["configPatches"].as_array().expect("patches");
    let value = |kind: &str| {
        let patch = patches.iter().find(|patch| patch["applyTo"] == kind).expect(kind);
        patch["patch"]["value"].clone()
    };
    let mut filter = value("HTTP_FILTER");
    let extension = value("EXTENSION_CONFIG");
    assert_eq!(filter["name"], extension["name"], "the configuration would not be found");
    assert_eq!(filter["config_discovery"]["type_urls"], json!([extension["typed_config"]["@type"]]));
    filter.as_object_mut().expect("a filter").remove("config_discovery");
    filter["typed_config"] = extension["typed_config"].clone();
    let code = &mut filter["typed_config"]["config"]["vm_config"]["code"];
    let address = code["remote"]["http_uri"]["uri"].as_str().expect("an address");
    assert!(address.starts_with("oci://") && address.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{address}");
    *code = fetched();
    let connection_manager = value("NETWORK_FILTER")["typed_config"].clone();
    Made { filter, per_route: value("HTTP_ROUTE")["typed_per_filter_config"].clone(), connection_manager }
}

/// The same, as Envoy Gateway makes it of its policy, and then patches it.
fn gateway() -> Made {
    let documents = documents("envoy/gateway/secure-callbacks.yaml");
    let [policy, patch, traffic, environment] = &documents[..] else { panic!("four documents") };
    let metadata = &policy["metadata"];
    let name = format!(
        "envoyextensionpolicy/{}/{}/wasm/0",
        metadata["namespace"].as_str().expect("a namespace"),
        metadata["name"].as_str().expect("a name")
    );
    let wasm = &policy["spec"]["wasm"][0];
    let address = wasm["code"]["image"]["url"].as_str().expect("an address");
    assert!(address.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{address}");
    let variable = &environment["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]["env"][0]["name"];
    assert_eq!(wasm["env"]["hostKeys"], json!([variable]));
    let mut filter = json!({
        "name": format!("envoy.filters.http.wasm/{name}"),
        "disabled": true,
        "typed_config": { "@type": WASM, "config": {
            "name": wasm["name"],
            "fail_open": wasm["failOpen"],
            "vm_config": {
                "vm_id": name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": fetched(),
                "environment_variables": { "host_env_keys": wasm["env"]["hostKeys"] },
            },
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue",
                               "value": wasm["config"].to_string() },
        } },
    });
    let filter_name = filter["name"].as_str().expect("a name").to_owned();
    for patch in patch["spec"]["jsonPatches"].as_array().expect("patches") {
        let operation = &patch["operation"];
        let place = operation["jsonPath"].as_str().expect("a place");
        assert_eq!(place, format!("$..http_filters[?(@.name=='{filter_name}')].typed_config.config"));
        let field = operation["path"].as_str().and_then(|path| path.strip_prefix('/')).expect("a field");
        filter["typed_config"]["config"][field] = operation["value"].clone();
    }
    let per_route = json!({ filter_name: {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {},
    } });
    assert_eq!(traffic["spec"]["targetRefs"][0]["name"], patch["spec"]["targetRef"]["name"], "two gateways");
    let path = &traffic["spec"]["path"];
    assert_eq!(path["escapedSlashesAction"], "RejectRequest");
    let connection_manager = json!({
        // Always so.
        "normalize_path": true,
        "merge_slashes": !path["disableMergeSlashes"].as_bool().expect("a flag"),
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_timeout": traffic["spec"]["timeout"]["http"]["requestReceivedTimeout"],
    });
    Made { filter, per_route, connection_manager }
}

#[test]
fn envoy_takes_what_they_make_of_the_examples() {
    for (name, made) in [("Istio", istio()), ("Envoy Gateway", gateway())] {
        let Made { filter, connection_manager, .. } = &made;
        for (field, value) in [
            ("normalize_path", json!(true)),
            ("merge_slashes", json!(true)),
            ("path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
            ("request_timeout", json!("30s")),
        ] {
            assert_eq!(connection_manager[field], value, "{name}: {field}");
        }
        assert_eq!(filter["disabled"], true, "{name}");
        assert_eq!(filter["typed_config"]["config"]["allow_on_headers_stop_iteration"], true, "{name}");
        assert_eq!(filter["typed_config"]["config"]["failure_policy"], "FAIL_RELOAD", "{name}");
        validate(&made).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
}

/// The check above would see a field that Envoy does not know, and a policy that the filter does not.
#[test]
fn envoy_refuses_what_is_wrong_in_them() {
    let mut made = istio();
    made.filter["typed_config"]["config"]["allow_on_headers_stop"] = json!(true);
    let problem = validate(&made).expect_err("an unknown field");
    assert!(problem.contains("allow_on_headers_stop"), "{problem}");
    let mut made = istio();
    made.connection_manager["normalise_path"] = json!(true);
    let problem = validate(&made).expect_err("an unknown field of the connection manager");
    assert!(problem.contains("normalise_path"), "{problem}");
    let mut made = istio();
    made.filter["typed_config"]["config"]["configuration"]["value"]["max_agee"] = json!("5m");
    let problem = validate(&made).expect_err("an unknown word");
    assert!(problem.contains("max_agee"), "{problem}");
}
