//! The metrics of both hosts: the same series, in a form that Prometheus takes, before and after a change.
use crate::exposition::{self, Exposition};
use crate::runbook;
use crate::site::{ARCHIVE, Site};
use anyhow::{Result, anyhow, ensure};
use secure_callbacks::Code;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::tools::ProxyKind;
use std::collections::BTreeSet;
use std::time::Duration;

/// The counter.
const REQUESTS: &str = "secure_callbacks_requests_total";
/// The gauge.
const ENTRIES: &str = "secure_callbacks_replay_entries";

/// Callbacks, a scrape, a change of the configuration, more callbacks, another scrape.
pub(crate) fn read(kind: ProxyKind) -> Result<()> {
    let site = runbook::enforcing(kind)?;
    let before = scrape(&site)?;
    if kind.is_nginx() {
        site.reload()?;
    } else {
        site.run(&format!("sed -i 's/missing_token_status: 503/missing_token_status: 401/' {}\n", site.watched()))?;
        site.becomes("archive", None, 401)?;
    }
    site.becomes("archive", Some(ARCHIVE), 200)?;
    let after = scrape(&site)?;
    ensure!(before.series() == after.series(), "other series after the change");
    for (series, value) in &before.samples {
        let now = after.samples[series];
        ensure!(series.0 != REQUESTS || now >= *value, "{series:?} went from {value} to {now}");
    }
    let accepted = |scraped: &Exposition| scraped.sum(REQUESTS, ("result", "accepted"));
    ensure!(accepted(&after) > accepted(&before), "the counter stands still");
    Ok(())
}

/// The metrics, with the series that the design names and no others.
pub(crate) fn scrape(site: &Site) -> Result<Exposition> {
    let mut problem = None;
    // In Envoy's module those of a route are there within a second.
    let scraped = until(Duration::from_secs(5), || match scrape_now(site) {
        Ok(scraped) => Ok(Some(scraped)),
        Err(error) => {
            problem = Some(error);
            Ok(None)
        }
    })?;
    scraped.ok_or_else(|| problem.unwrap_or_else(|| anyhow!("no metrics")))
}

fn scrape_now(site: &Site) -> Result<Exposition> {
    let scraped = exposition::parse(&site.metrics()?)?;
    ensure!(scraped.types.get(REQUESTS).is_some_and(|kind| kind == "counter"), "{:?}", scraped.types);
    ensure!(scraped.types.get(ENTRIES).is_some_and(|kind| kind == "gauge"), "{:?}", scraped.types);
    let mut due = BTreeSet::new();
    let closed = (site.kind == ProxyKind::EnvoyModule).then_some("closed");
    for policy in ["archive", "session"].into_iter().chain(closed) {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        due.insert((ENTRIES.to_owned(), [label("policy", policy)].into()));
        for code in Code::all().map(Code::as_str) {
            due.insert((REQUESTS.to_owned(), [label("policy", policy), label("result", code)].into()));
        }
    }
    let found: BTreeSet<_> = scraped.samples.keys().cloned().collect();
    ensure!(found == due, "other series than the design's: {:?}", found.symmetric_difference(&due).collect::<Vec<_>>());
    Ok(scraped)
}
