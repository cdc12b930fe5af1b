//! What the proxies do around the check, as `docs/operations.md` tells it.
use crate::common::{Callback, POLICY, Running, Stage, Test, now, policy, untouched};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::proxy::{Directory, Ports, Proxy, envoy, nginx};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::{nginx_block, token};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Vec<Test>) {
    let kind = stage.kind;
    if kind.is_nginx() {
        tests.push(("limit_req_by_the_api_key_never_limits".into(), Box::new(move || limit_req(kind))));
        tests.push(("a_coarse_clock_misjudges_ages".into(), Box::new(move || timer_resolution(kind))));
    } else {
        stage.test("a_refusal_of_grpc_is_a_200_and_nothing_is_forwarded", tests, grpc);
        tests.push(("who_waits_for_100_gets_it_from_envoy_alone".into(), Box::new(expect_continue)));
    }
}

/// An nginx under `policy`; `zones` stands in its `http` and `location` in its location.
fn start_nginx(kind: ProxyKind, policy: &Value, main: &str, zones: &str, location: &str) -> Result<(Running, Ports)> {
    let module = tools::find(kind)?.filter;
    wait(async {
        let upstream = Upstream::start().await?;
        let ports = Ports::new(kind)?;
        let http = nginx::upstream(upstream.address())
            + zones
            + &nginx_block(POLICY, policy)
            + &format!(
                "    server {{ {} location / {{ secure_callbacks {POLICY}; {location} proxy_pass http://app; }} }}\n",
                nginx::listen(kind, ports.http1, ports.http2)
            );
        let config = nginx::config(Some(&module), &[], &http).replace("worker_processes 2;", main);
        let proxy = Proxy::nginx(kind, Directory::new("around")?, &config, &Vec::new()).await?;
        Ok((Running { proxy, upstream }, ports))
    })
}

/// It runs before the check, when the variable is empty, and an empty key is not counted.
fn limit_req(kind: ProxyKind) -> Result<()> {
    for (key, due) in [("$secure_callbacks_api_key", [200, 200, 200]), ("$binary_remote_addr", [200, 503, 503])] {
        let zones = format!("    limit_req_zone {key} zone=callbacks:1m rate=1r/m;\n");
        let (_running, ports) =
            start_nginx(kind, &policy(), "worker_processes 2;", &zones, "limit_req zone=callbacks;")?;
        for due in due {
            let status = wait(send::send(ports, &Callback::new().message))?.status;
            ensure!(status == due, "{key}: {status} instead of {due}");
        }
    }
    Ok(())
}

/// Nginx's clock stands still, and a token's age is read from it.
fn timer_resolution(kind: ProxyKind) -> Result<()> {
    let mut short = policy();
    short["max_age"] = json!("2s");
    short["leeway"] = json!("1s");
    for (main, coarse) in [("worker_processes 1;", false), ("worker_processes 1; timer_resolution 30s;", true)] {
        let (_running, ports) = start_nginx(kind, &short, main, "", "")?;
        let early = Callback::new();
        std::thread::sleep(Duration::from_secs(4));
        let late = Callback::new();
        let old = wait(send::send(ports, &early.message))?;
        let new = wait(send::send(ports, &late.message))?;
        let found = [&old, &new].map(|reply| reply.code().unwrap_or_else(|| reply.status.to_string()));
        let due = if coarse { ["200", "token_not_yet_valid"] } else { ["token_expired", "200"] };
        ensure!(found == due, "{main} {found:?}");
    }
    Ok(())
}

/// Envoy turns every reply of its own to gRPC into a 200 with a status of gRPC's.
fn grpc(running: &Running) -> Result<()> {
    let large = vec![b'x'; 1024 * 1024 + 1];
    for (mut callback, status) in [(Callback::forged(), "16"), (Callback::with_body(&large), "2")] {
        callback.message.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-type"));
        callback.message.headers.push(("content-type".into(), b"application/grpc".to_vec()));
        let reply = wait(send::send(running.proxy.ports(POLICY), &callback.message))?;
        let told = reply.headers.text("grpc-status");
        // A module can't say what becomes of the status in gRPC: Envoy says `OK`.
        let status = if running.proxy.kind == ProxyKind::EnvoyModule { "0" } else { status };
        ensure!((reply.status, told.as_deref()) == (200, Some(status)), "{} {told:?}", reply.status);
        untouched(&running.upstream, &callback)?;
    }
    Ok(())
}

/// Envoy answers 100 before the filter runs. With `proxy_100_continue` that is the application's to say, and the head does
/// not go there before the body has come.
fn expect_continue() -> Result<()> {
    for (asks_the_application, due) in [(false, true), (true, false)] {
        let (running, ports) = wait(async {
            let upstream = Upstream::start().await?;
            let ports = Ports::new(ProxyKind::Envoy)?;
            let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
            let mut listener = envoy::Listener::new(ports.http1, upstream.address(), filter);
            listener.settings = json!({ "proxy_100_continue": asks_the_application });
            let proxy = Proxy::envoy(Directory::new("around")?, &[listener], &Vec::new()).await?;
            anyhow::Ok((Running { proxy, upstream }, ports))
        })?;
        let callback = Callback::new();
        let Message { path, .. } = &callback.message;
        let mut stream = TcpStream::connect(ports.http1)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let token = token::Token::valid(&callback.message.body(), now()).sign();
        let length = callback.message.body().len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\
             expect: 100-continue\r\n\r\n"
        )?;
        let mut answer = [0; 64];
        let came = stream.read(&mut answer).unwrap_or(0);
        let answer = answer.get(..came).context("what came")?;
        ensure!(answer.starts_with(b"HTTP/1.1 100 ") == due, "{:?}", String::from_utf8_lossy(answer));
        ensure!(due || came == 0, "another answer: {:?}", String::from_utf8_lossy(answer));
        drop(running);
    }
    Ok(())
}
