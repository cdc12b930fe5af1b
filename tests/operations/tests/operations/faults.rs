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
        site.run("sed -i 's/missing_token_status: 503/missing_token_status: 502/' filters/archive.yaml\n")?;
        counts(&site, "archive.config_fail: 1")?;
        ensure!(site.log().contains("missing_token_status"), "the log does not say what is wrong");
        let reloads = shown(&site)?;
        let text = site.read("filters/archive.yaml").replace("502", "503").replace(ARCHIVE, ARCHIVE_NEXT);
        std::fs::write(site.path().join("filters/archive.yaml"), text)?;
        std::thread::sleep(Duration::from_millis(500));
        ensure!(shown(&site)? == reloads, "a file written in place was noticed");
    }
    ensure!(site.status("archive", Some(ARCHIVE))? == 200, "the secret from before is refused");
    ensure!(site.status("archive", None)? == 503, "the status from before is not in force");
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
    site.run("curl -s \"$admin/stats?filter=http_filter.*config_(reload|fail)\"\n")
}

fn counts(site: &Site, line: &str) -> Result<()> {
    let mut shows = String::new();
    let came = until(Duration::from_secs(5), || {
        shows = shown(site)?;
        Ok(shows.contains(line).then_some(()))
    })?;
    came.with_context(|| format!("no {line}: {shows}"))
}
