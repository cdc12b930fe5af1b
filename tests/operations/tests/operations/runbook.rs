//! The page from top to bottom: each of its commands, in its order, and what it says of their effect.
use crate::load::nothing_is_lost;
use crate::metrics;
use crate::page;
use crate::site::{ARCHIVE, ARCHIVE_NEXT, SESSION, Site};
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::{now, until};
use secure_callbacks_harness::ids;
use secure_callbacks_harness::tools::ProxyKind;
use std::time::{Duration, Instant};

const ROLL_OUT: &str = "From report to enforce";
const RETRIES: &str = "Retries after an outage";
const ROTATE: &str = "Rotate a secret";
const UPGRADE: &str = "Upgrade";

/// The whole page.
pub(crate) fn whole(kind: ProxyKind) -> Result<()> {
    let mut site = Site::new(kind)?;
    site.set_up()?;
    roll_out(&mut site)?;
    several_policies(&site)?;
    unsigned(&site)?;
    retries(&mut site)?;
    rotate(&mut site)?;
    upgrade(&mut site)?;
    site.done()
}

/// Started by the page's commands, and enforcing.
pub(crate) fn enforcing(kind: ProxyKind) -> Result<Site> {
    let mut site = Site::new(kind)?;
    site.set_up()?;
    roll_out(&mut site)?;
    Ok(site)
}

fn roll_out(site: &mut Site) -> Result<()> {
    site.becomes("archive", None, 200)?;
    ensure!(site.verdict("archive", None)? == "token_missing");
    ensure!(site.verdict("archive", Some(SESSION))? == "signature_invalid");
    ensure!(site.verdict("archive", Some(ARCHIVE))? == "accepted");
    let shown = site.next(ROLL_OUT)?;
    for result in ["accepted", "token_missing", "signature_invalid"] {
        ensure!(shown.contains(&format!("result=\"{result}\"")), "{result} is not in {shown}");
    }
    ensure!(!shown.contains("replayed"), "a result that never was: {shown}");

    site.next(ROLL_OUT)?;
    site.becomes("archive", Some(SESSION), 401)?;
    site.becomes("session", Some(ARCHIVE), 401)?;
    let counters: &[&str] = match site.kind {
        ProxyKind::Envoy => &["archive.config_reload: 2", "session.config_reload: 2"],
        ProxyKind::EnvoyModule => &["rds.callbacks.config_reload: 2", "rds.callbacks.update_rejected: 0"],
        ProxyKind::Nginx(_) => return Ok(()),
    };
    let shown = site.next(ROLL_OUT)?;
    for counter in counters {
        ensure!(shown.contains(counter), "{counter}: {shown}");
    }
    ensure!(!shown.contains("fail: 1"), "{shown}");
    Ok(())
}

/// One secret per callback type: each opens its own path.
fn several_policies(site: &Site) -> Result<()> {
    for (path, secret, due) in
        [("archive", ARCHIVE, 200), ("session", SESSION, 200), ("archive", SESSION, 401), ("session", ARCHIVE, 401)]
    {
        let status = site.status(path, Some(secret))?;
        ensure!(status == due, "{path} with {secret}: {status}");
    }
    let closed = match site.kind {
        ProxyKind::Envoy => 403,
        ProxyKind::EnvoyModule => 401,
        ProxyKind::Nginx(_) => 404,
    };
    ensure!(site.status("other", Some(ARCHIVE))? == closed, "a path without a policy is open");
    Ok(())
}

fn unsigned(site: &Site) -> Result<()> {
    let (_, again) = site.send("archive", None)?;
    ensure!((again.status, again.headers.text("retry-after").as_deref()) == (503, Some("5")), "{again:?}");
    let (_, never) = site.send("session", None)?;
    ensure!((never.status, never.headers.text("retry-after")) == (401, None), "{never:?}");
    Ok(())
}

/// The page finds a retry with the token of the first try, and takes it once told to.
fn retries(site: &mut Site) -> Result<()> {
    let steps = site.take(RETRIES)?;
    ensure!(steps.len() == 2, "{} blocks", steps.len());
    let send = |jti: &str, age: i64| {
        site.exchange(&Callback::signed("/callbacks/archive/", |token| {
            token.secret(ARCHIVE).claim("jti", jti).claim("iat", now() - age)
        }))
    };
    for (jti, age, due) in
        [("tried-again", 0, 200), ("late-alone", 3600, 401), ("tried-again", 3600, 401), ("tried-again", 7200, 401)]
    {
        let status = send(jti, age)?.status;
        ensure!(status == due, "{jti}, {age} seconds old: {status}");
    }
    // Envoy writes its log within ten seconds.
    let mut shown = String::new();
    until(Duration::from_secs(20), || {
        shown = site.run(steps[0].text)?;
        Ok((shown.lines().count() >= 2).then_some(()))
    })?;
    let all = shown.lines().all(|line| line.contains("result=token_expired") && line.ends_with("jti=tried-again"));
    ensure!(shown.lines().count() == 2 && all, "{shown}");

    site.run(steps[1].text)?;
    // In force once every worker has it.
    let (start, mut in_a_row) = (Instant::now(), 0);
    while in_a_row < 8 && start.elapsed() < Duration::from_secs(60) {
        in_a_row = if send(&ids::unique(), 20 * 3600)?.status == 200 { in_a_row + 1 } else { 0 };
    }
    for (jti, age, due) in [
        ("nearly-a-day", 24 * 3600 - 60, 200),
        ("nearly-a-day", 24 * 3600 - 60, 401),
        ("more-than-a-day", 24 * 3600 + 60, 401),
        // What was taken before the change is known after it.
        ("tried-again", 0, 401),
    ] {
        let status = send(jti, age)?.status;
        ensure!(status == due, "{jti}, {age} seconds old, after the change: {status}");
    }
    Ok(())
}

fn rotate(site: &mut Site) -> Result<()> {
    ensure!(site.status("archive", Some(ARCHIVE_NEXT))? == 401, "the new secret is known before it is entered");
    let steps = site.take(ROTATE)?;
    ensure!(steps.len() == 2, "a rotation of {} steps", steps.len());
    nothing_is_lost(site, &[ARCHIVE], || {
        site.run(steps[0].text)?;
        site.becomes("archive", Some(ARCHIVE_NEXT), 200)
    })?;
    // What the 30 minutes are: some callbacks come with the old one, some with the new one.
    nothing_is_lost(site, &[ARCHIVE, ARCHIVE_NEXT], || Ok(()))?;
    nothing_is_lost(site, &[ARCHIVE_NEXT], || {
        site.run(steps[1].text)?;
        site.becomes("archive", Some(ARCHIVE), 401)
    })?;
    ensure!(site.status("session", Some(SESSION))? == 200, "the other policy has changed");
    Ok(())
}

fn upgrade(site: &mut Site) -> Result<()> {
    let callback = Callback::signed("/callbacks/archive/", |token| token.secret(ARCHIVE_NEXT));
    ensure!(site.exchange(&callback)?.status == 200);
    ensure!(site.exchange(&callback)?.status == 401);
    let before = metrics::scrape(site)?;
    let steps = site.take(UPGRADE)?;
    ensure!(steps.len() == 3, "an upgrade of {} blocks, with the ones that go back and stop", steps.len());
    // A restart forgets what was seen, a change of the file does not.
    let again = if site.kind != ProxyKind::Envoy {
        if site.kind.is_nginx() {
            site.run("install -m 644 \"$MODULE\" modules/ngx_http_secure_callbacks_module.so\n")?;
            site.reload()?;
            ensure!(site.module_is_new().is_err(), "a reload is enough: the page says otherwise");
        }
        refused_module(site, steps[0].text)?;
        site.run(steps[0].text)?;
        site.becomes("archive", Some(ARCHIVE_NEXT), 200)?;
        site.module_is_new()?;
        200
    } else {
        refused_filter(site, &steps)?;
        nothing_is_lost(site, &[ARCHIVE_NEXT], || {
            site.run(steps[0].text)?;
            site.becomes("archive", Some(ARCHIVE_NEXT), 200)
        })?;
        let loaded = site.run("curl -s $admin/config_dump\n")?.matches("secure_callbacks-new.wasm").count();
        ensure!(loaded == 2, "{loaded} filters from the new file");
        401
    };
    let status = site.exchange(&callback)?.status;
    ensure!(status == again, "what was seen before the upgrade: {status}");
    site.becomes("session", Some(SESSION), 200)?;
    let after = metrics::scrape(site)?;
    ensure!(before.series() == after.series(), "other metrics after the upgrade");
    site.run(steps[1].text)?;
    site.becomes("archive", Some(ARCHIVE_NEXT), 200)?;
    site.becomes("archive", Some(SESSION), 401)?;
    site.run(steps[2].text)?;
    site.ends()
}

/// A module that the proxy does not take: the page's commands end, the proxy goes on, and the old file is in its place.
fn refused_module(site: &mut Site, commands: &str) -> Result<()> {
    let module = site.module();
    let (before, process) = (std::fs::read(&module)?, site.pid());
    let broken = site.path().join("broken.so");
    std::fs::write(&broken, "no module")?;
    site.artifact = Some(broken);
    let said = site.run(commands)?;
    site.artifact = None;
    let refused = if site.kind.is_nginx() { "test failed" } else { "Failed to load dynamic module" };
    ensure!(said.contains(refused), "it took a broken module: {said}");
    ensure!(std::fs::read(&module)? == before, "the old module did not come back");
    ensure!(site.pid() == process, "it was restarted");
    site.becomes("archive", Some(ARCHIVE_NEXT), 200)
}

/// A file that Envoy can't load: it goes on with the one before, says so, and the page's commands go back.
fn refused_filter(site: &mut Site, steps: &[page::Block]) -> Result<()> {
    let broken = site.path().join("broken.wasm");
    std::fs::write(&broken, "no module")?;
    site.artifact = Some(broken);
    site.run(steps[0].text)?;
    site.artifact = None;
    let start = Instant::now();
    while site.log().matches("update rejected: Unable to create Wasm plugin").count() < 2 {
        ensure!(start.elapsed() < Duration::from_secs(20), "Envoy took a broken filter");
        std::thread::sleep(Duration::from_millis(50));
    }
    site.becomes("archive", Some(ARCHIVE_NEXT), 200)?;
    site.becomes("archive", Some(SESSION), 401)?;
    site.run(steps[1].text)?;
    site.becomes("archive", Some(ARCHIVE_NEXT), 200)
}
