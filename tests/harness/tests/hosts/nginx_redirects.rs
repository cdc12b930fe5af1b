//! Internal redirects in Nginx: one request passes several locations, and is one callback all the same.
use crate::nginx::start;
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::Answer;
use secure_callbacks_support::Framing;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    let mut test = |name: &str, test: fn(ProxyKind) -> Result<()>| {
        tests.add(name, move || test(kind));
    };
    test("error_page_to_a_named_location", named_location);
    test("try_files_to_a_named_location", try_files);
    test("rewrite_into_a_protected_location", rewrite);
    test("error_page_401_shows_its_own_page", own_page);
    test("error_page_401_into_a_protected_location", protected_page);
    test("error_page_413_into_a_protected_location_does_not_hang", too_large);
}

fn good_and_bad(running: &Running, prefix: &str) -> Result<()> {
    for framing in [Framing::Length, Framing::Chunked, Framing::H2] {
        let good = Callback::below(prefix).framed(framing);
        running.accepts(&good, 1)?;
        running.knows(&good)?;
        let bad = Callback::below(prefix).with_other_body(b"{\"forged\":true}").framed(framing);
        running.refuses_with(&bad, "payload_hash_mismatch")?;
    }
    Ok(())
}

fn named_location(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "location / {
            secure_callbacks video; proxy_intercept_errors on; error_page 404 = @fallback; proxy_pass http://app;
         }
         location @fallback { secure_callbacks video; proxy_pass http://app; }",
    )?;
    // The first location's application does not know it, the fallback's takes it: two deliveries of one callback.
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(404), Answer::status(200)]);
    running.accepts(&callback, 2)?;
    good_and_bad(&running, "/callbacks/")
}

fn try_files(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "location / { secure_callbacks video; try_files /no-such-file @app; }
         location @app { secure_callbacks video; proxy_pass http://app; }",
    )?;
    good_and_bad(&running, "/callbacks/")
}

fn rewrite(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "location /old/ { rewrite ^/old/(.*)$ /callbacks/$1 last; }
         location /callbacks/ { secure_callbacks video; proxy_pass http://app; }",
    )?;
    good_and_bad(&running, "/old/")
}

fn own_page(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "location / { secure_callbacks video; error_page 401 /denied; proxy_pass http://app; }
         location = /denied { internal; default_type text/plain; return 200 \"our own page\"; }",
    )?;
    let callback = Callback::forged();
    let reply = running.send(&callback)?;
    ensure!(reply.status == 401 && reply.text() == "our own page", "{} {}", reply.status, reply.text());
    running.untouched(&callback)
}

/// The page's location is protected too, by inheritance: the verdict stands, and nobody waits for another.
fn protected_page(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "secure_callbacks video; error_page 401 /denied;
         location / { proxy_pass http://app; }
         location = /denied { proxy_pass http://app; }",
    )?;
    let callback = Callback::forged();
    let reply = running.send(&callback)?;
    ensure!(reply.status == 401, "status {}", reply.status);
    running.untouched(&callback)?;
    ensure!(running.upstream.totals().requests == 0, "the page was asked of the application");
    Ok(())
}

/// The body is too large for Nginx itself, so the module's reading of it never comes to an end.
fn too_large(kind: ProxyKind) -> Result<()> {
    let running = start(
        kind,
        "secure_callbacks video; client_max_body_size 1k; error_page 413 /too-large;
         location / { proxy_pass http://app; }
         location = /too-large { proxy_pass http://app; }",
    )?;
    for framing in [Framing::Length, Framing::Chunked, Framing::H2, Framing::H2NoLength] {
        let mut callback = Callback::with_body(&[b'x'; 5000]);
        callback = callback.framed(framing);
        let reply = running.send(&callback)?;
        ensure!((400..500).contains(&reply.status), "{framing:?}: status {}", reply.status);
        running.untouched(&callback)?;
        ensure!(running.upstream.totals().requests == 0, "{framing:?}: something reached the application");
    }
    Ok(())
}
