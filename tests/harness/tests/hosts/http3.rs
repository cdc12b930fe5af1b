//! Nginx over HTTP/3, beyond what the vectors say of it: bodies in all kinds of pieces, many requests at once, requests that
//! end early, the client certificate, and one memory for all versions of HTTP.
use crate::nginx::{PROTECTED, policy_block};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::people::{People, SENDER, SENDER_SUBJECT, Who};
use secure_callbacks_harness::proxy::Ports;
use secure_callbacks_harness::running::{Nginx, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::http3::{self, Connection};
use secure_callbacks_harness::send::tls::{Client, Version};
use secure_callbacks_harness::send::{PATIENCE, Reply};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;
use secure_callbacks_support::token::SECRET;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// With `content-length`, without, and with trailers.
const FRAMINGS: [Framing; 3] = [Framing::H2, Framing::H2NoLength, Framing::H2Trailers];

/// Requests at once on a connection.
const STREAMS: usize = 60;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("it_speaks_http3_where_proxies_toml_says_so", move || as_listed(kind));
    if !kind.has_http3() {
        return;
    }
    let mut test = |name: &str, test: fn(ProxyKind) -> Result<()>| tests.add(name, move || test(kind));
    test("http3_bodies_in_any_pieces_are_verified", pieces);
    test("http3_bodies_in_temporary_files_are_verified", files);
    test("http3_many_requests_on_one_connection", many);
    test("http3_shares_its_memory_with_the_other_versions", one_memory);
    test("http3_a_body_that_ends_early_is_never_forwarded", ended_early);
    test("http3_a_body_too_large_is_refused", too_large);
    test("http3_the_client_certificate_counts", certificate);
    test("http3_the_source_address_counts", source);
}

/// What is not listed is not tested.
fn as_listed(kind: ProxyKind) -> Result<()> {
    let said = kind.says();
    ensure!(said.contains("--with-http_v3_module") == kind.has_http3(), "`http3` is wrong: {said}");
    Ok(())
}

fn start(kind: ProxyKind, http: &str, server: &str) -> Result<(Running, SocketAddr)> {
    let running = Nginx { http3: true, ..Nginx::new(kind, policy_block() + http, server)? }.start()?;
    let Ports { http3, .. } = running.ports[0];
    Ok((running, http3.context("no HTTP/3")?))
}

fn client(who: Who) -> Result<Client> {
    People::get().client(who, Version::Tls13)
}

fn send(to: SocketAddr, callback: &Callback) -> Result<Reply> {
    wait(http3::send(&client(Who::Nobody)?, to, &callback.message))
}

/// A callback of this size, in pieces of that one; and the same with another last byte.
fn pair(size: usize, piece: usize, framing: Framing) -> [Callback; 2] {
    let body: Vec<u8> = (0..size).map(|index| b'a' + u8::try_from(index % 23).unwrap_or(0)).collect();
    [false, true].map(|forged| {
        let mut callback = Callback::with_body(&body).framed(framing);
        callback.message.chunks = body.chunks(piece).map(<[u8]>::to_vec).collect();
        if let Some(last) = callback.message.chunks.last_mut().and_then(|chunk| chunk.last_mut()).filter(|_| forged) {
            *last = b'!';
        }
        callback
    })
}

fn all_pieces(running: &Running, to: SocketAddr) -> Result<()> {
    for (size, piece) in [(1, 1), (300, 1), (900, 7), (5_000, 4_096), (300_000, 4_096), (300_000, 300_000)] {
        for framing in FRAMINGS {
            let [good, forged] = pair(size, piece, framing);
            let outcome = send(to, &good).and_then(|reply| running.accepted(&good, &reply, 1));
            outcome.with_context(|| format!("{size} in pieces of {piece}, {framing:?}"))?;
            running.refused(&forged, &send(to, &forged)?, "payload_hash_mismatch")?;
        }
    }
    Ok(())
}

fn pieces(kind: ProxyKind) -> Result<()> {
    let (running, to) = start(kind, "", PROTECTED)?;
    all_pieces(&running, to)
}

fn files(kind: ProxyKind) -> Result<()> {
    let server = format!("client_body_buffer_size 1k; client_body_in_file_only clean; {PROTECTED}");
    let (running, to) = start(kind, "", &server)?;
    all_pieces(&running, to)
}

fn many(kind: ProxyKind) -> Result<()> {
    let (running, to) = start(kind, "", PROTECTED)?;
    let client = client(Who::Nobody)?;
    let all = wait(async {
        let connection = Connection::open(&client, to).await?;
        let mut streams = JoinSet::new();
        for index in 0..STREAMS {
            let connection = connection.clone();
            let framing = FRAMINGS[index % FRAMINGS.len()];
            let [good, forged] = pair(5_000, 1_000, framing);
            streams.spawn(async move {
                let callback = if index % 2 == 0 { good } else { forged };
                let reply = tokio::time::timeout(PATIENCE, connection.send(&callback.message)).await;
                Ok::<_, anyhow::Error>((index, callback, reply.context("no reply in time")??))
            });
        }
        streams.join_all().await.into_iter().collect::<Result<Vec<_>>>()
    })?;
    for (index, callback, reply) in all {
        if index % 2 == 0 {
            running.accepted(&callback, &reply, 1)?;
        } else {
            reply.is(401, "payload_hash_mismatch")?;
            ensure!(!running.upstream.saw(&callback.id), "it reached the application");
        }
    }
    Ok(())
}

fn one_memory(kind: ProxyKind) -> Result<()> {
    let (running, to) = start(kind, "", PROTECTED)?;
    let callback = Callback::new().framed(Framing::H2);
    running.accepted(&callback, &send(to, &callback)?, 1)?;
    send(to, &callback)?.is(401, "replayed")?;
    running.knows(&callback.framed(Framing::Length))?;
    let callback = Callback::new();
    running.accepts(&callback, 1)?;
    send(to, &callback.framed(Framing::H2NoLength))?.is(401, "replayed")?;
    ensure!(running.upstream.deliveries(&callback.id) == 1, "delivered twice");
    Ok(())
}

/// Half a body, and then the stream is reset, or the connection is gone. The callback can still be sent whole.
fn ended_early(kind: ProxyKind) -> Result<()> {
    let (running, to) = start(kind, "", PROTECTED)?;
    let client = client(Who::Nobody)?;
    for framing in [Framing::H2, Framing::H2NoLength] {
        for with_its_connection in [false, true] {
            let [callback, _] = pair(5_000, 5_000, framing);
            wait(async {
                let connection = Connection::open(&client, to).await?;
                let (mut sending, receiving) = connection.start(&callback.message).await?;
                sending.send_data(Bytes::from(callback.message.body()).slice(..2_500)).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
                if with_its_connection {
                    drop(connection);
                } else {
                    sending.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                drop(receiving);
                Ok::<_, anyhow::Error>(())
            })?;
            running.untouched(&callback)?;
            running.accepted(&callback, &send(to, &callback)?, 1)?;
        }
    }
    Ok(())
}

fn too_large(kind: ProxyKind) -> Result<()> {
    let (running, to) = start(kind, "", PROTECTED)?;
    for framing in FRAMINGS {
        let [callback, _] = pair(1_100_000, 10_000, framing);
        send(to, &callback)?.is(413, "body_too_large").with_context(|| format!("{framing:?}"))?;
        running.untouched(&callback)?;
    }
    Ok(())
}

fn certificate(kind: ProxyKind) -> Result<()> {
    let policy =
        format!("account a1b2c3d secret=text:{SECRET}; expose_reason on; client_certificate dns_name={SENDER};");
    let server = "ssl_verify_client optional; ssl_client_certificate root.pem;
        location / { secure_callbacks named; proxy_pass http://app; }";
    let nginx = Nginx::new(kind, format!("secure_callbacks_policy named {{ {policy} }}\n"), server)?;
    nginx.directory.write("root.pem", People::get().root.pem())?;
    let running = Nginx { http3: true, ..nginx }.start()?;
    let to = running.ports[0].http3.context("no HTTP/3")?;
    for (who, refused) in [
        (Who::Sender, None),
        (Who::OtherName, Some("client_certificate_mismatch")),
        (Who::Nobody, Some("client_certificate_missing")),
    ] {
        let client = client(who)?;
        // The second connection resumes the session of the first.
        for _ in 0..2 {
            let callback = Callback::new().framed(Framing::H2);
            let reply = wait(http3::send(&client, to, &callback.message))?;
            if let Some(code) = refused {
                running.refused(&callback, &reply, code).with_context(|| format!("{who:?}"))?;
                continue;
            }
            running.accepted(&callback, &reply, 1).with_context(|| format!("{who:?}"))?;
            let subject = running.upstream.requests(&callback.id)[0].headers.text("x-ssl-client-subject-dn");
            ensure!(subject.as_deref() == Some(SENDER_SUBJECT), "{subject:?}");
        }
    }
    Ok(())
}

fn source(kind: ProxyKind) -> Result<()> {
    let policy = format!("account a1b2c3d secret=text:{SECRET}; expose_reason on; source_address 127.0.0.1;");
    let server = "location / { secure_callbacks near; proxy_pass http://app; }";
    let (running, to) = start(kind, &format!("secure_callbacks_policy near {{ {policy} }}\n"), server)?;
    let near = Callback::new().framed(Framing::H2);
    running.accepted(&near, &send(to, &near)?, 1)?;
    let far = Callback::new().framed(Framing::H2);
    let client = client(Who::Nobody)?.from([127, 0, 0, 2].into());
    running.refused(&far, &wait(http3::send(&client, to, &far.message))?, "source_not_allowed")
}
