//! Changes that must change nothing: a configuration with a fault, and a file that Envoy is not told of.
use crate::runbook;
use crate::site::{ARCHIVE, ARCHIVE_NEXT, Site};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::tools::ProxyKind;
use std::time::Duration;

/// The proxy says what is wrong and goes on as before.
pub(crate) fn change_nothing(kind: ProxyKind) -> Result<()> {
    let site = runbook::enforcing(kind)?;
    if kind.is_nginx() {
        site.run("printf abc > secrets/archive-next\n")?;
        refused_by_nginx(&site, "accounts[0].secrets[1]: the secret has fewer")?;
        site.run(
            "install -m 600 secrets/archive secrets/archive-next\nsed -i 's/status 503/status 502/' callbacks.conf\n",
        )?;
        refused_by_nginx(&site, "missing_token_status")?;
    } else {
        let watched = site.watched();
        site.run(&format!("sed -i 's/missing_token_status: 503/missing_token_status: 502/' {watched}\n"))?;
        let is_module = kind == ProxyKind::EnvoyModule;
        counts(&site, if is_module { "update_rejected: 1" } else { "archive.config_fail: 1" })?;
        ensure!(site.log().contains("missing_token_status"), "the log does not say what is wrong");
        let reloads = shown(&site)?;
        let text = site.read(watched).replace("502", "503").replace("session", "other");
        std::fs::write(site.path().join(watched), text.replace(ARCHIVE, ARCHIVE_NEXT))?;
        std::thread::sleep(Duration::from_millis(500));
        ensure!(shown(&site)? == reloads, "a file written in place was noticed");
        if is_module {
            secret_in_place(&site, watched)?;
        }
    }
    ensure!(site.status("archive", Some(ARCHIVE))? == 200, "the secret from before is refused");
    ensure!(site.status("archive", None)? == 503, "the status from before is not in force");
    Ok(())
}

/// Another secret in a file that is named already: nothing is read again, though the routes come anew as they were.
fn secret_in_place(site: &Site, watched: &str) -> Result<()> {
    let text = site.read(watched).replace("other", "session");
    std::fs::write(site.path().join("aside.yaml"), text)?;
    std::fs::write(site.path().join("secrets/archive"), ARCHIVE_NEXT)?;
    site.run(&format!("mv aside.yaml {watched}\n"))?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(site.status("archive", Some(ARCHIVE_NEXT))? == 401, "the secret's file was noticed");
    Ok(())
}

/// The page's own line, with a configuration that nginx does not take.
fn refused_by_nginx(site: &Site, about: &str) -> Result<()> {
    match site.run("nginx -t && nginx -s reload\n") {
        Ok(said) => anyhow::bail!("taken: {said}"),
        Err(problem) => ensure!(format!("{problem:#}").contains(about), "{problem:#}"),
    }
    Ok(())
}

fn shown(site: &Site) -> Result<String> {
    site.run(
        "curl -s \"$admin/stats?filter=(http_filter.*config_(reload|fail)|rds.*(config_reload|update_rejected))$\"\n",
    )
}

fn counts(site: &Site, line: &str) -> Result<()> {
    let mut shows = String::new();
    let came = until(Duration::from_secs(5), || {
        shows = shown(site)?;
        Ok(shows.contains(line).then_some(()))
    })?;
    came.with_context(|| format!("no {line}: {shows}"))
}
