//! A GET whose query is hashed: it is the query that the caller sent, whatever the proxy makes of the path around it.
use crate::common::policy;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Nginx, Running};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::{Framing, merged, nginx_block};
use serde_json::{Value, json};

/// What looks like parts of a path that are normalized, merged or refused there.
const QUERY: &str = "region_url=https://api.example//a/../b/./c&next=%2Fd%2F%2E%2E%5fe";
const JSON: &str = r#"{"region_url":"https://api.example//a/../b/./c","next":"/d/.._e"}"#;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("the_query_is_hashed_as_it_was_sent", move || as_sent(kind));
    if kind.is_nginx() {
        tests.add("what_rewrite_adds_to_the_query_is_not_hashed", move || rewritten(kind));
    }
}

fn query_policy() -> Value {
    merged(policy(), &json!({ "name": "voice", "payload": "query" }))
}

/// A GET of `path` and an id, with a token for [`JSON`].
fn asked(path: &str, query: &str) -> Callback {
    let mut callback = Callback::made(path, JSON.as_bytes(), |token| token).method("GET").framed(Framing::None);
    callback.message.path += query;
    callback.message.chunks.clear();
    callback
}

fn nginx(kind: ProxyKind, server: &str) -> Result<Running> {
    Nginx::new(kind, nginx_block("voice", &query_policy()), server)?.start()
}

fn start(kind: ProxyKind) -> Result<Running> {
    if kind.is_nginx() {
        return nginx(kind, "location /callbacks/ { secure_callbacks voice; proxy_pass http://app/callbacks/; }");
    }
    let filter = envoy::filter(&query_policy(), envoy::Form::Struct, &[]);
    // As every example has it.
    let settings = json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
    });
    Envoy { settings, ..Envoy::new([filter])? }.start()
}

/// By a path that the proxy normalizes, and by a whole URI as proxies are asked.
fn as_sent(kind: ProxyKind) -> Result<()> {
    let running = start(kind)?;
    for path in ["/callbacks/", "/callbacks//x/.././", "http://localhost/callbacks/"] {
        let good = asked(path, &format!("?{QUERY}"));
        running.accepts(&good, 1).with_context(|| path.to_owned())?;
        let [request] = &running.upstream.requests(&good.id)[..] else { unreachable!("one delivery") };
        let due = format!("/callbacks/{}?{QUERY}", good.id);
        ensure!(request.path == due, "{path}: the application was asked for {} instead of {due}", request.path);
        running.knows(&good)?;
        // What a path may be normalized to, a query may not.
        for query in ["?", &format!("?{}", QUERY.replace("//a/../b", "/b")), &format!("?{QUERY}&x=1"), ""] {
            running
                .refuses_with(&asked(path, query), "payload_hash_mismatch")
                .with_context(|| format!("{path}{query}"))?;
        }
    }
    Ok(())
}

fn rewritten(kind: ProxyKind) -> Result<()> {
    let running = nginx(
        kind,
        "location /old/ { rewrite ^/old/(.*)$ /callbacks/$1?tenant=7 last; }
         location /callbacks/ { secure_callbacks voice; proxy_pass http://app; }",
    )?;
    let good = asked("/old/", &format!("?{QUERY}"));
    running.accepts(&good, 1)?;
    let [request] = &running.upstream.requests(&good.id)[..] else { unreachable!("one delivery") };
    ensure!(request.path == format!("/callbacks/{}?tenant=7&{QUERY}", good.id), "{}", request.path);
    // The caller can't have it added.
    running.refuses_with(&asked("/old/", &format!("?tenant=7&{QUERY}")), "payload_hash_mismatch")
}
