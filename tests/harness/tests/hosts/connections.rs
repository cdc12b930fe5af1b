//! Requests as connections carry them: slowly, in pieces, cut short, many on one.
use crate::common::Stage;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::{Directory, Ports, Proxy, envoy, nginx};
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{Message, http1, http2};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    let kind = stage.kind;
    tests.add("without_the_filter_everything_arrives", move || without_the_filter(kind));
    stage.test("a_slow_body_is_accepted", tests, slow_body);
    stage.test("a_slow_forged_body_is_refused", tests, slow_forged_body);
    stage.test("a_head_in_single_bytes_is_accepted", tests, slow_head);
    stage.test("a_client_gone_inside_the_body_leaves_no_trace", tests, client_gone);
    stage.test("an_http2_stream_reset_inside_the_body_leaves_no_trace", tests, stream_reset);
    stage.test("a_body_shorter_than_its_length_is_not_forwarded", tests, cut_short);
    stage.test("good_and_bad_take_turns_on_one_connection", tests, keep_alive);
    stage.test("refused_heads_leave_the_connection_as_it_is", tests, keep_alive_refused);
    // Envoy waits for the body, as long as its own time-outs say (`envoy_unfinished`).
    if kind.is_nginx() {
        stage.test("a_refused_head_without_its_body_is_answered", tests, head_alone_refused);
    }
    stage.test("pipelined_requests_are_judged_one_by_one", tests, pipelined);
    stage.test("good_and_bad_share_an_http2_connection", tests, http2_at_once);
    stage.test("expect_100_continue_with_a_good_token", tests, expect_continue);
    stage.test("expect_100_continue_with_a_bad_token", tests, expect_continue_refused);
    stage.test("length_and_chunks_together_are_refused", tests, length_and_chunks);
}

/// Longer than an answer takes that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(3);

const ALL_FRAMINGS: [Framing; 6] = [
    Framing::Length,
    Framing::Chunked,
    Framing::ChunkedTrailers,
    Framing::H2,
    Framing::H2NoLength,
    Framing::H2Trailers,
];

/// The control: were the filter not there, the harness would see the forgeries arrive.
fn without_the_filter(kind: ProxyKind) -> Result<()> {
    let ports = Ports::new(kind)?;
    let directory = Directory::new("without-filter")?;
    let running = Running::start(async |application| {
        if kind.is_nginx() {
            let listen = nginx::listen(kind, ports);
            let server = format!("    server {{ {listen} location / {{ proxy_pass http://app; }} }}\n");
            let http = nginx::upstream(application) + &server;
            Proxy::nginx(kind, directory, &nginx::config(None, &[], &http), &Vec::new()).await
        } else {
            let mut listener = envoy::Listener::new(ports.http1, application, Value::Null);
            listener.filters.clear();
            Proxy::envoy(directory, &[listener], &Vec::new()).await
        }
    })?;
    let running = running.at(vec![ports]);
    for framing in ALL_FRAMINGS {
        let callback = Callback::forged().framed(framing);
        let reply = running.send(&callback);
        if kind.is_nginx() && framing == Framing::H2Trailers {
            // Nginx itself knows no trailers in HTTP/2 and ends the connection at them.
            ensure!(reply.is_err(), "{reply:?}");
            continue;
        }
        let reply = reply.with_context(|| format!("{framing:?}"))?;
        running.arrived(&callback, &reply, 1).with_context(|| format!("{framing:?}"))?;
    }
    Ok(())
}

fn slow_body(running: &Running) -> Result<()> {
    let callback = Callback::with_body(b"{\"a\":\"slow body, byte by byte\"}");
    let reply = wait(http1::exchange(address(running), in_bytes(&callback.message), Duration::from_millis(20)))?;
    running.accepted(&callback, &reply, 1)
}

fn slow_forged_body(running: &Running) -> Result<()> {
    let callback = Callback::forged();
    let reply = wait(http1::exchange(address(running), in_bytes(&callback.message), Duration::from_millis(20)))?;
    running.refused(&callback, &reply, "payload_hash_mismatch")
}

/// The head at once, then one byte a write.
fn in_bytes(message: &Message) -> Vec<Vec<u8>> {
    let mut writes = http1::writes(message);
    let body = writes.split_off(1).concat();
    writes.extend(body.into_iter().map(|byte| vec![byte]));
    writes
}

fn slow_head(running: &Running) -> Result<()> {
    let callback = Callback::new();
    let writes = callback.wire().into_iter().map(|byte| vec![byte]).collect();
    let reply = wait(http1::exchange(address(running), writes, Duration::from_micros(100)))?;
    running.accepted(&callback, &reply, 1)
}

fn client_gone(running: &Running) -> Result<()> {
    let callback = Callback::new();
    wait(async {
        let mut connection = http1::Connection::open(address(running)).await?;
        let wire = callback.wire();
        connection.write(&wire[..wire.len() - 1]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(connection);
        anyhow::Ok(())
    })?;
    running.untouched(&callback)?;
    // It was not counted as delivered either: the same token is still good.
    running.accepts(&callback, 1)
}

fn stream_reset(running: &Running) -> Result<()> {
    let callback = Callback::new().framed(Framing::H2NoLength);
    wait(async {
        let connection = http2::Connection::open(running.ports[0].http2).await?;
        let (response, mut stream) = connection.start(&callback.message).await?;
        // The whole body, but not its end.
        http2::send_data(&mut stream, &callback.message.body()).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        anyhow::Ok(())
    })?;
    running.untouched(&callback)
}

fn cut_short(running: &Running) -> Result<()> {
    // Ten bytes more are announced than come; then this half of the connection is closed.
    let callback = Callback::new();
    let mut wire = callback.wire();
    let (real, announced) = (callback.message.body().len(), callback.message.body().len() + 10);
    let text = String::from_utf8_lossy(&wire)
        .replace(&format!("Content-Length: {real}"), &format!("Content-Length: {announced}"));
    wire = text.into_bytes();
    wait(async {
        let mut connection = http1::Connection::open(address(running)).await?;
        connection.write(&wire).await?;
        // Time enough for a proxy that does not hold it back.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (mut reader, writer) = connection.split();
        drop(writer);
        if let Ok(reply) = reader.reply().await {
            ensure!(reply.status >= 400, "status {}", reply.status);
        }
        Ok(())
    })?;
    running.untouched(&callback)
}

fn keep_alive(running: &Running) -> Result<()> {
    wait(async {
        let mut connection = http1::Connection::open(address(running)).await?;
        for turn in 0..20 {
            let bad = turn % 3 == 1;
            let callback = if bad { Callback::forged() } else { Callback::new() };
            connection.write(&callback.wire()).await?;
            let reply = connection.reply().await?;
            if bad {
                running.refused(&callback, &reply, "payload_hash_mismatch")?;
            } else {
                running.accepted(&callback, &reply, 1)?;
            }
        }
        Ok(())
    })
}

fn keep_alive_refused(running: &Running) -> Result<()> {
    wait(async {
        let mut connection = http1::Connection::open(address(running)).await?;
        for _ in 0..20 {
            let callback = Callback::new().without_token();
            connection.write(&callback.wire()).await?;
            running.refused(&callback, &connection.reply().await?, "token_missing")?;
        }
        Ok(())
    })
}

fn head_alone_refused(running: &Running) -> Result<()> {
    let callback = Callback::new().without_token();
    wait(async {
        let mut connection = http1::Connection::open(address(running)).await?;
        connection.write(&http1::writes(&callback.message)[0]).await?;
        let reply = tokio::time::timeout(PATIENCE, connection.reply()).await.context("no answer")??;
        running.refused(&callback, &reply, "token_missing")
    })
}

fn pipelined(running: &Running) -> Result<()> {
    let callbacks = [Callback::new(), Callback::forged(), Callback::new()];
    let wire: Vec<u8> = callbacks.iter().flat_map(|callback| callback.wire()).collect();
    wait(async {
        let mut connection = http1::Connection::open(address(running)).await?;
        connection.write(&wire).await?;
        let first = connection.reply().await.context("the first reply")?;
        running.accepted(&callbacks[0], &first, 1)?;
        let second = connection.reply().await.context("the second reply")?;
        running.refused(&callbacks[1], &second, "payload_hash_mismatch")?;
        match connection.reply().await {
            Ok(third) => running.accepted(&callbacks[2], &third, 1),
            // Envoy may close after a refusal that has more bytes behind it: the sender tries the rest again.
            Err(_) if !running.proxy.kind.is_nginx() => running.untouched(&callbacks[2]),
            Err(error) => Err(error.context("the third reply")),
        }
    })
}

fn http2_at_once(running: &Running) -> Result<()> {
    wait(async {
        let connection = http2::Connection::open(running.ports[0].http2).await?;
        let mut tasks = tokio::task::JoinSet::new();
        for turn in 0..20 {
            let connection = connection.clone();
            let bad = turn % 2 == 1;
            let callback = if bad { Callback::forged() } else { Callback::new() }.framed(Framing::H2);
            tasks.spawn(async move {
                let reply = connection.send(&callback.message).await;
                (callback, bad, reply)
            });
        }
        while let Some(done) = tasks.join_next().await {
            let (callback, bad, reply) = done?;
            if bad {
                running.refused(&callback, &reply?, "payload_hash_mismatch")?;
            } else {
                running.accepted(&callback, &reply?, 1)?;
            }
        }
        Ok(())
    })
}

fn expect_continue(running: &Running) -> Result<()> {
    let callback = Callback::new().header("Expect", "100-continue");
    wait(async {
        let mut writes = http1::writes(&callback.message);
        let body = writes.split_off(1).concat();
        let (mut reader, mut writer) = http1::Connection::open(address(running)).await?.split();
        writer.write(&writes.concat()).await?;
        let interim = reader.any_reply().await?;
        ensure!(interim.status == 100, "status {} instead of 100", interim.status);
        writer.write(&body).await?;
        running.accepted(&callback, &reader.reply().await?, 1)
    })
}

fn expect_continue_refused(running: &Running) -> Result<()> {
    let callback = Callback::new().without_token().header("Expect", "100-continue");
    wait(async {
        let mut writes = http1::writes(&callback.message);
        let body = writes.split_off(1).concat();
        let (mut reader, mut writer) = http1::Connection::open(address(running)).await?.split();
        writer.write(&writes.concat()).await?;
        let mut reply = reader.any_reply().await?;
        // Nginx refuses before it asks for the body. Envoy asks before the filter runs, and the refusal waits for it.
        if !running.proxy.kind.is_nginx() {
            ensure!(reply.status == 100, "status {} instead of 100", reply.status);
            writer.write(&body).await?;
            reply = reader.reply().await?;
        }
        running.refused(&callback, &reply, "token_missing")
    })
}

fn length_and_chunks(running: &Running) -> Result<()> {
    let callback = Callback::new().framed(Framing::Chunked).header("Content-Length", "5");
    let reply = running.send(&callback)?;
    ensure!(reply.status == 400, "status {}", reply.status);
    running.untouched(&callback)
}

fn address(running: &Running) -> std::net::SocketAddr {
    running.ports[0].http1
}
