//! Files that Nginx writes itself (`dav_methods PUT`): its handler wants the body in a file, and its own 2xx is the
//! application's answer.
use crate::nginx::start;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    let mut test = |name: &str, test: fn(ProxyKind) -> Result<()>| {
        tests.add(name, move || test(kind));
    };
    test("dav_put_writes_what_was_signed_and_nothing_else", written);
    test("dav_put_behind_try_files_writes_it_once", tried);
    test("dav_put_that_is_refused_can_come_again", refused_put);
    test("put_reaches_the_application", proxied);
}

const SERVER: &str = "root .; secure_callbacks video;
    location /files/ { dav_methods PUT; create_full_put_path on; }
    location /tried/ { try_files /nothing @files; }
    location @files { dav_methods PUT; create_full_put_path on; }
    location /nowhere/ { dav_methods PUT; }
    location / { proxy_pass http://app; }";

const FRAMINGS: [Framing; 5] =
    [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2, Framing::H2NoLength];

/// Nothing, what comes with the head, what is in memory, and what is not.
const SIZES: [usize; 4] = [0, 900, 5_000, 300_000];

fn put(location: &str, size: usize, framing: Framing) -> Callback {
    let body: Vec<u8> = (0..size).map(|index| b'a' + (index % 23) as u8).collect();
    Callback::made(location, &body, |token| token).framed(framing).method("PUT")
}

fn file(running: &Running, callback: &Callback) -> PathBuf {
    running.proxy.directory().path().join(callback.message.path.trim_start_matches('/'))
}

fn written(kind: ProxyKind) -> Result<()> {
    let running = start(kind, SERVER)?;
    for framing in FRAMINGS {
        for size in SIZES {
            let context = || format!("{framing:?}, {size} bytes");
            let callback = put("/files/", size, framing);
            let reply = running.send(&callback).with_context(context)?;
            ensure!(reply.status == 201, "{}: {} {}", context(), reply.status, reply.text());
            let found = std::fs::read(file(&running, &callback)).with_context(context)?;
            ensure!(found == callback.message.body(), "{}: another body was written", context());
            running.knows(&callback).with_context(context)?;

            let forged = put("/files/", size, framing).with_other_body(b"another body");
            running.refuses_with(&forged, "payload_hash_mismatch")?;
            ensure!(!file(&running, &forged).exists(), "{}: a forged file was written", context());
        }
    }
    // Over a file that is there the answer is 204.
    let first = put("/files/", 10, Framing::Length);
    let mut second = put("/files/", 20, Framing::Length);
    second.message.path.clone_from(&first.message.path);
    ensure!(running.send(&first)?.status == 201, "the first one");
    let reply = running.send(&second)?;
    ensure!(reply.status == 204, "over a file: {} {}", reply.status, reply.text());
    running.knows(&second).context("204 was taken for a refusal")?;
    nothing_is_left(&running)
}

/// What was refused, or passed on, leaves no file behind.
fn nothing_is_left(running: &Running) -> Result<()> {
    let body = running.proxy.directory().path().join("body");
    let gone = until(Duration::from_secs(2), || Ok(std::fs::read_dir(&body)?.next().is_none().then_some(())))?;
    gone.with_context(|| format!("temporary files are left in {}", body.display()))
}

fn tried(kind: ProxyKind) -> Result<()> {
    let running = start(kind, SERVER)?;
    let callback = put("/tried/", 5_000, Framing::Length);
    let reply = running.send(&callback)?;
    ensure!(reply.status == 201 && file(&running, &callback).exists(), "{} {}", reply.status, reply.text());
    running.knows(&callback).context("it was written twice")?;
    Ok(())
}

fn refused_put(kind: ProxyKind) -> Result<()> {
    let running = start(kind, SERVER)?;
    let callback = put("/nowhere/", 900, Framing::Length);
    for _ in 0..2 {
        let reply = running.send(&callback)?;
        // There is no such directory yet, which nginx takes for a fault of its own.
        ensure!(reply.status == 500, "{} {}", reply.status, reply.text());
    }
    std::fs::create_dir(running.proxy.directory().path().join("nowhere"))?;
    let reply = running.send(&callback)?;
    ensure!(reply.status == 201, "{} {}", reply.status, reply.text());
    running.knows(&callback).context("it was written twice")?;
    nothing_is_left(&running)
}

fn proxied(kind: ProxyKind) -> Result<()> {
    let running = start(kind, SERVER)?;
    for framing in FRAMINGS {
        for size in SIZES {
            let callback = put("/callbacks/", size, framing);
            running.accepts(&callback, 1)?;
        }
    }
    nothing_is_left(&running)
}
