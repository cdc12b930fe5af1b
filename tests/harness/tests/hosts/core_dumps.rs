//! What a core dump of a worker would hold, found in the memory of running workers. `docs/operations.md` says it to
//! operators.
use crate::common::{Stage, Test};
use crate::secrecy::{Site, Source};
use anyhow::{Result, ensure};
use secure_callbacks_harness::memory::{Places, search};
use secure_callbacks_harness::tools::ProxyKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Callbacks sent before the look.
const SENT: usize = 120;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Vec<Test>) {
    let kind = stage.kind;
    tests.push(("verifying_leaves_no_copy_of_the_secret".into(), Box::new(move || traffic(kind))));
    if kind.is_nginx() {
        tests.push(("a_secret_from_a_file_is_in_memory_once".into(), Box::new(move || copies(kind))));
        tests.push(("a_secret_that_was_dropped_is_wiped".into(), Box::new(move || dropped(kind))));
    }
}

fn total(places: &Places) -> usize {
    places.values().sum()
}

/// The copies of the secret in each worker.
fn secrets(site: &Site) -> Result<Vec<usize>> {
    let workers = site.running.proxy.workers();
    ensure!(!workers.is_empty(), "no workers");
    workers.iter().map(|worker| Ok(total(&search(*worker, &[site.secret.as_bytes()])?[0]))).collect()
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

/// From a file: the key alone. From the environment: also in the block that nginx keeps of it.
fn copies(kind: ProxyKind) -> Result<()> {
    for (source, most) in [(Source::File, 1), (Source::Environment, 2)] {
        let site = Site::start(kind, source, "error.log notice")?;
        site.send(16)?;
        let counts = secrets(&site)?;
        ensure!(counts.iter().all(|count| (1..=most).contains(count)), "{source:?}: {counts:?}");
    }
    Ok(())
}

/// A rotation leaves nothing of the old secret: neither in the master, from which workers are made, nor in them.
fn dropped(kind: ProxyKind) -> Result<()> {
    let site = Site::start(kind, Source::File, "error.log notice")?;
    site.send(16)?;
    let old = site.running.proxy.workers();
    ensure!(secrets(&site)?.iter().all(|count| *count == 1), "it is not there to begin with");
    site.running.proxy.directory().write("video.secret", "the-secret-that-comes-after-a-rotation")?;
    site.running.proxy.reload()?;
    let start = Instant::now();
    while site.running.proxy.workers().iter().any(|worker| old.contains(worker)) {
        ensure!(start.elapsed() < Duration::from_secs(20), "the old workers stay");
        std::thread::sleep(Duration::from_millis(50));
    }
    let counts = secrets(&site)?;
    ensure!(counts.len() == 2 && counts.iter().all(|count| *count == 0), "the old secret is there: {counts:?}");
    Ok(())
}
