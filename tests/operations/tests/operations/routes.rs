//! Several policies in one proxy: a path that is spelt otherwise is checked by the policy of the path that the application
//! sees, and a route that switches on no filter lets nothing pass.
use crate::page;
use crate::runbook;
use crate::site::{ARCHIVE, SESSION, Site, upstream};
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;

/// Ways to write `/callbacks/session/` that begin with archive's path.
const AROUND: [&str; 10] = [
    "/callbacks/archive/../session/",
    "/callbacks/archive/%2e%2e/session/",
    "/callbacks/archive/.%2E/session/",
    "/callbacks/archive/..%2fsession/",
    "/callbacks/archive%2F..%2fsession/",
    "/callbacks/archive/..%5csession/",
    "/callbacks/archive/..\\session/",
    "/callbacks//archive/..//session/",
    "/callbacks/./archive/.././session/",
    "/callbacks/archive/x/../../session/",
];

/// Archive's secret opens no path that an application could take for session's, and session's opens its own.
pub(crate) fn one_secret_one_path(kind: ProxyKind) -> Result<()> {
    let site = runbook::enforcing(kind)?;
    for framing in [Framing::Length, Framing::H2] {
        if kind.is_nginx() && framing == Framing::H2 {
            continue; // The page's server speaks HTTP/1.1 alone.
        }
        for path in AROUND {
            let (id, status) = send(&site, path, ARCHIVE, framing, false)?;
            let seen = paths(&id);
            // To Nginx a backslash is a character like any other, and such a path is archive's.
            if kind.is_nginx() && (path.contains('\\') || path.contains("%5c")) {
                ensure!(status == 200 && seen[0].starts_with("/callbacks/archive/"), "{path}: {status} {seen:?}");
                continue;
            }
            ensure!([400, 401].contains(&status) && seen.is_empty(), "{path}, {framing:?}: {status} {seen:?}");
            // Whoever holds session's secret may write the path so; the application sees it plain.
            let (id, status) = send(&site, path, SESSION, framing, false)?;
            let plain = format!("/callbacks/session/{id}");
            let seen = paths(&id);
            ensure!(status == 400 || (status == 200 && seen == [plain.as_str()]), "{path}: {status} {seen:?}");
        }
    }
    Ok(())
}

/// The paths that the application saw.
fn paths(id: &str) -> Vec<String> {
    upstream().requests(id).into_iter().map(|request| request.path.clone()).collect()
}

/// A route that names a filter which is not there: Envoy takes the configuration, and nothing reaches the application.
pub(crate) fn misspelt_route(kind: ProxyKind) -> Result<()> {
    let mut site = Site::new(kind)?;
    let (name, files, status) = match kind {
        ProxyKind::EnvoyModule => ("routes/callbacks.yaml", "routes/callbacks.yaml", 401),
        _ => ("envoy.yaml", "filters/*.yaml", 403),
    };
    let page = page::files().find(|file| file.name == name).expect("the file").text;
    // The second route is session's.
    let misspelt = match (kind, page.rsplit_once("        secure_callbacks:\n")) {
        (ProxyKind::EnvoyModule, Some((before, after))) => format!("{before}        secure_callback:\n{after}"),
        _ => page.replace("                  session: {", "                  sesion: {"),
    };
    ensure!(misspelt != page, "the page's routes are written otherwise");
    std::fs::write(site.path().join(name), misspelt)?;
    site.set_up()?;
    site.becomes("archive", Some(ARCHIVE), 200)?;
    // In report mode first, as the page begins.
    for mode in ["report", "enforce"] {
        for claimed in [false, true] {
            for framing in [Framing::Length, Framing::H2] {
                for secret in [SESSION, ARCHIVE] {
                    let (id, got) = send(&site, "/callbacks/session/", secret, framing, claimed)?;
                    ensure!(got == status, "{mode}, {claimed}: {got}");
                    ensure!(!upstream().saw(&id), "{mode}: an unchecked callback reached the application");
                }
            }
        }
        ensure!(site.status("other", Some(ARCHIVE))? == status, "{mode}: a path without a route");
        site.becomes("archive", Some(ARCHIVE), 200)?;
        site.run(&format!("sed -i '/mode: report/d' {files}\n"))?;
        site.becomes("archive", Some(SESSION), 401)?;
    }
    Ok(())
}

/// Sends a callback to `path` and an id; `claimed`: the sender says itself that it is verified.
fn send(site: &Site, path: &str, secret: &str, framing: Framing, claimed: bool) -> Result<(String, u16)> {
    let mut callback = Callback::signed(path, |token| token.secret(secret)).framed(framing);
    if claimed {
        callback = callback.header("x-callback-verified", "accepted");
    }
    let status = site.exchange(&callback)?.status;
    Ok((callback.id, status))
}
