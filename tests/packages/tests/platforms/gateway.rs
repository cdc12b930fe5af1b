//! What Envoy Gateway makes of its policies.
use serde_json::{Value, json};

use crate::made::{Made, documents, fetched};

/// The documents of an example by their kinds.
fn of_kind<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
    let [document] = documents.iter().filter(|document| document["kind"] == kind).collect::<Vec<_>>()[..] else {
        panic!("not one {kind}");
    };
    document
}

/// What it calls what a policy has first of a sort.
fn name(policy: &Value, sort: &str) -> String {
    let part = |name: &str| policy["metadata"][name].as_str().expect(name);
    format!("envoyextensionpolicy/{}/{}/{sort}/0", part("namespace"), part("name"))
}

/// With the filter switched on for the route, and the connection manager as the policy for clients has it.
fn made(filter: Value, traffic: &Value) -> Made {
    let per_route = json!({ filter["name"].as_str().expect("a name"): {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {},
    } });
    assert_eq!(traffic["spec"]["targetRefs"][0]["name"], "eg");
    let path = &traffic["spec"]["path"];
    assert_eq!(path["escapedSlashesAction"], "RejectRequest");
    let connection_manager = json!({
        // Always so.
        "normalize_path": true,
        "use_remote_address": true,
        "merge_slashes": !path["disableMergeSlashes"].as_bool().expect("a flag"),
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_timeout": traffic["spec"]["timeout"]["http"]["requestReceivedTimeout"],
    });
    Made::new(vec![filter], per_route, connection_manager)
}

/// It patches what it has made.
pub(crate) fn filter() -> Made {
    let documents = documents("envoy/gateway/secure-callbacks.yaml");
    let policy = of_kind(&documents, "EnvoyExtensionPolicy");
    let patch = of_kind(&documents, "EnvoyPatchPolicy");
    let environment = of_kind(&documents, "EnvoyProxy");
    let name = name(policy, "wasm");
    let wasm = &policy["spec"]["wasm"][0];
    let address = wasm["code"]["image"]["url"].as_str().expect("an address");
    assert!(address.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{address}");
    let variable = &environment["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]["env"][0]["name"];
    assert_eq!(wasm["env"]["hostKeys"], json!([variable]));
    let mut filter = json!({
        "name": format!("envoy.filters.http.wasm/{name}"),
        "disabled": true,
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {
            "name": wasm["name"],
            "fail_open": wasm["failOpen"],
            "vm_config": {
                "vm_id": name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": fetched(),
                "environment_variables": { "host_env_keys": wasm["env"]["hostKeys"] },
            },
            "configuration": text(&wasm["config"]),
        } },
    });
    let filter_name = filter["name"].as_str().expect("a name").to_owned();
    assert_eq!(patch["spec"]["targetRef"]["name"], "eg");
    for patch in patch["spec"]["jsonPatches"].as_array().expect("patches") {
        let operation = &patch["operation"];
        let place = operation["jsonPath"].as_str().expect("a place");
        assert_eq!(place, format!("$..http_filters[?(@.name=='{filter_name}')].typed_config.config"));
        let field = operation["path"].as_str().and_then(|path| path.strip_prefix('/')).expect("a field");
        filter["typed_config"]["config"][field] = operation["value"].clone();
    }
    made(filter, of_kind(&documents, "ClientTrafficPolicy"))
}

/// It patches nothing but the bootstrap.
pub(crate) fn module() -> Made {
    let documents = documents("envoy/gateway/module.yaml");
    assert!(documents.iter().all(|document| document["kind"] != "EnvoyPatchPolicy"));
    let policy = of_kind(&documents, "EnvoyExtensionPolicy");
    let proxy = &of_kind(&documents, "EnvoyProxy")["spec"];
    let [module] = &policy["spec"]["dynamicModule"].as_array().expect("modules")[..] else { panic!("not one module") };
    // Only what the operator has listed may be loaded.
    let listed =
        crate::only(&proxy["dynamicModules"], |listed| listed["name"] == module["name"], "module of this name");
    let source = &listed["source"];
    assert_eq!(source["type"], "Local");
    let filter = json!({
        "name": format!("envoy.filters.http.dynamic_modules/{}", name(policy, "dynamic-module")),
        "disabled": true,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": { "module": { "local": { "filename": source["local"]["path"] } } },
            "filter_name": module["filterName"],
            "filter_config": text(&module["config"]),
        },
    });
    let pod = &proxy["provider"]["kubernetes"]["envoyDeployment"];
    let mut made = made(filter, of_kind(&documents, "ClientTrafficPolicy"))
        .mounted(&pod["pod"]["volumes"], &pod["container"]["volumeMounts"]);
    assert_eq!(proxy["bootstrap"]["type"], "JSONPatch");
    let [patch] = &proxy["bootstrap"]["jsonPatches"].as_array().expect("patches")[..] else { panic!("not one patch") };
    let flag = patch["path"].as_str().and_then(|path| path.strip_prefix("/layered_runtime/layers/0/static_layer/"));
    made.bootstrap = json!({ "layered_runtime": { "layers": [
        { "name": "global_config", "static_layer": { flag.expect("a flag"): patch["value"] } },
    ] } });
    made
}

/// The configuration as it hands it over.
fn text(config: &Value) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": config.to_string() })
}
