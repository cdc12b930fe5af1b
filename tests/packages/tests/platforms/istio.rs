//! What Istio puts into a gateway.
use serde_json::{Value, json};

use crate::made::{Made, documents, fetched};

/// What the patches of this kind put in, in their order.
fn values(example: &Value, kind: &str) -> Vec<Value> {
    let patches = example["spec"]["configPatches"].as_array().expect("patches");
    let patches = patches.iter().filter(|patch| patch["applyTo"] == kind);
    patches.map(|patch| patch["patch"]["value"].clone()).collect()
}

fn value(example: &Value, kind: &str) -> Value {
    let [value] = values(example, kind).try_into().expect("one patch");
    value
}

fn made(example: &Value, filters: Vec<Value>) -> Made {
    let per_route = value(example, "HTTP_ROUTE")["typed_per_filter_config"].clone();
    Made::new(filters, per_route, value(example, "NETWORK_FILTER")["typed_config"].clone())
}

pub(crate) fn filter() -> Made {
    let example = documents("envoy/istio/secure-callbacks.yaml").remove(0);
    let mut filter = value(&example, "HTTP_FILTER");
    let extension = value(&example, "EXTENSION_CONFIG");
    assert_eq!(filter["name"], extension["name"], "the configuration would not be found");
    assert_eq!(filter["config_discovery"]["type_urls"], json!([extension["typed_config"]["@type"]]));
    filter.as_object_mut().expect("a filter").remove("config_discovery");
    filter["typed_config"] = extension["typed_config"].clone();
    let code = &mut filter["typed_config"]["config"]["vm_config"]["code"];
    let address = code["remote"]["http_uri"]["uri"].as_str().expect("an address");
    assert!(address.starts_with("oci://") && address.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{address}");
    *code = fetched();
    made(&example, vec![filter])
}

pub(crate) fn module() -> Made {
    let example = documents("envoy/istio/module.yaml").remove(0);
    for patch in example["spec"]["configPatches"].as_array().expect("patches") {
        let inserts = patch["patch"]["operation"] == "INSERT_FIRST";
        assert_eq!(patch["applyTo"] == "HTTP_FILTER", inserts, "{patch}");
    }
    // Each is inserted before what is there.
    let mut filters = values(&example, "HTTP_FILTER");
    filters.reverse();
    let made = made(&example, filters);
    let on = made.per_route.as_object().expect("filters by their names");
    assert!(made.filters.iter().all(|filter| on.contains_key(filter["name"].as_str().expect("a name"))), "{on:?}");

    let values = documents("envoy/istio/module-values.yaml").remove(0);
    let config = values["podAnnotations"]["proxy.istio.io/config"].as_str().expect("an annotation");
    let config: Value = serde_yaml_ng::from_str(config).expect("YAML");
    // It wants text, and makes flags of it.
    let flags = config["runtimeValues"].as_object().expect("flags");
    let flags = flags.iter().map(|(name, value)| (name.clone(), json!(value == "true")));
    // What it shows anyway, as far as it begins so, and what it was told to.
    let shown = config["proxyStatsMatcher"]["inclusionPrefixes"].as_array().expect("prefixes").iter();
    let shown = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"]
        .into_iter()
        .chain(shown.map(|prefix| prefix.as_str().expect("a prefix")));
    let shown: Vec<_> = shown.map(|prefix| json!({ "prefix": prefix })).collect();
    let bootstrap = json!({
        "layered_runtime": { "layers": [{ "name": "global config", "static_layer": Value::Object(flags.collect()) }] },
        "stats_config": { "stats_matcher": { "inclusion_list": { "patterns": shown } } },
    });
    let mut made = made.mounted(&values["volumes"], &values["volumeMounts"]);
    made.bootstrap = bootstrap;
    made
}
