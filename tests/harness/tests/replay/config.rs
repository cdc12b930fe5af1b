//! A site's policies as each proxy takes them.
use anyhow::Result;
use secure_callbacks_harness::proxy::{Directory, Ports, envoy, nginx};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_support::nginx_block;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The policies' names.
pub(crate) const NAMES: [&str; 3] = ["first", "second", "third"];

pub(crate) fn nginx_config(
    kind: ProxyKind,
    policies: &[Value],
    ports: &[Ports],
    application: SocketAddr,
    [http_lines, more]: [&str; 2],
) -> Result<String> {
    // The second one has the same application as two servers.
    let mut http = nginx::upstream(application)
        + &format!("    upstream twice {{ server {application} max_fails=0; server {application} max_fails=0; }}\n")
        + http_lines;
    for (index, policy) in policies.iter().enumerate() {
        let name = NAMES[index];
        let listen = nginx::listen(kind, ports[index]);
        http.push_str(&nginx_block(name, policy));
        http.push_str(&format!(
            "
    server {{
        {listen}
        secure_callbacks {name};
        proxy_read_timeout 90s;
        location / {{ proxy_pass http://app; }}
        location /brief/ {{ proxy_pass http://app; proxy_read_timeout 1s; }}
        location = /metrics {{ secure_callbacks off; secure_callbacks_metrics; }}
        {more}
    }}
"
        ));
    }
    // A load of short requests is not to end each connection after the thousandth.
    http.push_str("    keepalive_requests 1000000;\n");
    Ok(nginx::config(Some(&tools::find(kind)?.filter), &[], &http))
}

pub(crate) fn envoy_settings(index: usize) -> Value {
    let cluster = format!("listener_{index}");
    let route = |prefix: &str, timeout: &str| json!({ "match": { "prefix": prefix }, "route": { "cluster": cluster, "timeout": timeout } });
    json!({
        "stream_idle_timeout": "120s",
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [route("/brief/", "1s"), route("/", "90s")],
        }] },
    })
}

pub(crate) fn discovered_in(directory: &Directory) -> std::path::PathBuf {
    directory.path().join("discovered")
}

/// Writes the configuration of one filter aside and moves it into place.
pub(crate) fn discover(directory: &Directory, index: usize, policy: &Value) -> Result<()> {
    let mut policy = policy.clone();
    policy["name"] = json!(NAMES[index]);
    let form = if index == 0 { envoy::Form::Struct } else { envoy::Form::Text };
    let resource = envoy::discovery(NAMES[index], &envoy::filter(&policy, form, &[]));
    let aside = directory.write("aside.json", resource.to_string())?;
    std::fs::rename(aside, discovered_in(directory).join(format!("{}.json", NAMES[index])))?;
    Ok(())
}
