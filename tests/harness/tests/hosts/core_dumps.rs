//! What a core dump of a worker would hold, found in the memory of running workers. `docs/operations.md` says it to
//! operators.
use crate::secrecy::{FILE, Site, Source};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::memory::{Places, search};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Callbacks sent before the look.
const SENT: usize = 120;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("verifying_leaves_no_copy_of_the_secret", move || traffic(kind));
    if kind != ProxyKind::Envoy {
        tests.add("the_text_of_a_secret_from_a_file_is_not_kept", move || text(kind));
    }
    if kind.is_nginx() {
        tests.add("a_secret_that_was_dropped_is_wiped", move || dropped(kind));
    }
}

fn total(places: &Places) -> usize {
    places.values().sum()
}

/// How often `bytes` stand in the memory of each worker.
fn copies(site: &Site, bytes: &[u8]) -> Result<Vec<usize>> {
    let workers = site.running.proxy.workers();
    ensure!(!workers.is_empty(), "no workers");
    workers.iter().map(|worker| Ok(total(&search(*worker, &[bytes])?[0]))).collect()
}

/// The copies of the secret's own text in each worker.
fn secrets(site: &Site) -> Result<Vec<usize>> {
    copies(site, site.secret.as_bytes())
}

/// The copies of what the secret is made into: the eight words of HMAC's inner hash once it has taken the padded key in.
fn keys(site: &Site) -> Result<Vec<usize>> {
    let mut block = [0x36; 64];
    block.iter_mut().zip(site.secret.bytes()).for_each(|(pad, byte)| *pad ^= byte);
    copies(site, &Sha256::new_with_prefix(block).serialize()[..32])
}

/// The copies that are there from the start stay the only ones; keys with HMAC's pads on them can be turned back and
/// must not be left either. Of tokens and bodies a few stay in buffers that the next requests overwrite: never all.
fn traffic(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Source::Environment, if kind.is_nginx() { "error.log notice" } else { "wasm:info" })?;
    site.send(8)?;
    let before = secrets(&site)?;
    site.send(SENT)?;
    let after = secrets(&site)?;
    ensure!(before.iter().all(|count| *count > 0), "the search sees no secret: {before:?}");
    ensure!(after == before, "copies of the secret: {before:?}, after traffic {after:?}");
    let padded = |pad: u8| site.secret.bytes().map(|byte| byte ^ pad).collect::<Vec<_>>();
    let (inner, outer, head) = (padded(0x36), padded(0x5c), site.token_head()?);
    let (mut tokens, mut bodies) = (0, 0);
    for worker in site.running.proxy.workers() {
        let found = search(worker, &[&inner, &outer, head.as_bytes(), site.body_mark.as_bytes()])?;
        ensure!(found[0].is_empty() && found[1].is_empty(), "the key in another form: {:?}", &found[..2]);
        tokens += total(&found[2]);
        bodies += total(&found[3]);
    }
    ensure!(tokens < SENT / 2 && bodies < SENT / 2, "of {SENT} callbacks {tokens} tokens and {bodies} bodies");
    Ok(())
}

/// From a file: no text at all, only what verifies. From the environment: also the block of it that the process has.
fn text(kind: ProxyKind) -> Result<()> {
    for (source, due) in [(Source::File, 0), (Source::Environment, 1)] {
        let site = Site::start(kind, source, if kind.is_nginx() { "error.log notice" } else { "wasm:info" })?;
        site.send(16)?;
        let (secrets, keys) = (secrets(&site)?, keys(&site)?);
        ensure!(secrets.iter().all(|count| *count == due), "{source:?}: the text {secrets:?} times");
        ensure!(keys.iter().all(|count| *count == 1), "{source:?}: what verifies {keys:?} times");
    }
    Ok(())
}

/// A rotation leaves nothing of the old secret: neither in the master, from which workers are made, nor in them.
fn dropped(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Source::File, "error.log notice")?;
    site.send(16)?;
    let old = site.running.proxy.workers();
    ensure!(keys(&site)?.iter().all(|count| *count == 1), "it is not there to begin with");
    site.running.proxy.directory().write(FILE, "the-secret-that-comes-after-a-rotation")?;
    site.running.proxy.reload()?;
    let gone = || !site.running.proxy.workers().iter().any(|worker| old.contains(worker));
    until(Duration::from_secs(20), || Ok(gone().then_some(())))?.context("the old workers stay")?;
    let (secrets, keys) = (secrets(&site)?, keys(&site)?);
    ensure!(
        keys.len() == 2 && keys.iter().chain(&secrets).all(|count| *count == 0),
        "there still: {keys:?} {secrets:?}"
    );
    Ok(())
}
