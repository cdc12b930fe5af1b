//! What the project promises of its own cost: mostly ratios, within one run.

use crate::report::Sheet;
use crate::results::{Case, Results};

/// One promise: the figure must not be above the limit.
pub(crate) struct Target {
    pub(crate) text: &'static str,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    /// `None`: this run did not measure it.
    pub(crate) measured: Option<f64>,
}

impl Target {
    /// Whether it is kept; one that was not measured is neither kept nor missed.
    pub(crate) fn met(&self) -> Option<bool> {
        self.measured.map(|measured| measured <= self.limit)
    }
}

/// Every promise, with what the run found.
pub(crate) fn targets(results: &Results) -> Vec<Target> {
    let target = |text, limit, unit, measured| Target { text, limit, unit, measured };
    let common = |host, row| results.added(host, row, Case::COMMON);
    let ratio = |part: Option<f64>, whole: Option<f64>| Some(part? / whole?);
    let total = |host, row, case| results.cost(host, row, case).map(|cost| cost.total_us);
    let plain = |host| total(host, "plain", Case::COMMON);
    let refusing = |host, row| ratio(total(host, row, Case::FORGED), plain(host));
    let mib = |host, row| results.added(host, row, Case::sized(1 << 20));
    let start = |row| results.footprint("envoy", row).map(|footprint| footprint.start_ms);
    let sha256 = Some(results.about.sha256_mib_us);
    vec![
        target(
            "Envoy's sandbox: refusing a forgery, against the plain proxy's callback",
            0.95,
            "×",
            refusing("envoy", "ours"),
        ),
        target("Envoy's sandbox: what ours adds to a body of 1 MiB", 4500.0, "µs", mib("envoy", "ours")),
        target(
            "Envoy's sandbox: size of the filter",
            300.0,
            "KiB",
            results.wasm_bytes.map(|bytes| bytes as f64 / 1024.0),
        ),
        target(
            "Envoy's sandbox: time to start on all cores, over the plain proxy's",
            350.0,
            "ms",
            start("ours").and_then(|ours| Some(ours - start("plain")?)),
        ),
        target(
            "Envoy's module: what ours adds, against what `jwt_authn` adds",
            0.75,
            "×",
            ratio(common("envoy", "module"), common("envoy", "jwt_authn")),
        ),
        target(
            "Envoy's module: refusing a forgery, against the plain proxy's callback",
            0.85,
            "×",
            refusing("envoy", "module"),
        ),
        target(
            "Envoy's module: what ours adds to a body of 1 MiB beyond Envoy's buffer filter, against SHA-256 of it alone",
            1.15,
            "×",
            ratio(results.difference("envoy", "module", "buffer", Case::sized(1 << 20)), sha256),
        ),
        target(
            "Envoy's module: 99th percentile of latency, against the plain proxy's",
            1.3,
            "×",
            slower(results, "envoy", "module"),
        ),
        target(
            "Nginx: what ours adds, against the plain proxy's callback",
            0.19,
            "×",
            ratio(common("nginx", "ours"), plain("nginx")),
        ),
        target(
            "Nginx: what ours adds, against what Lua adds",
            0.22,
            "×",
            ratio(common("nginx", "ours"), common("nginx", "lua")),
        ),
        target(
            "Nginx: what ours adds, against what njs adds",
            0.18,
            "×",
            ratio(common("nginx", "ours"), common("nginx", "njs")),
        ),
        target("Nginx: refusing a forgery, against the plain proxy's callback", 0.57, "×", refusing("nginx", "ours")),
        target(
            "Nginx: what ours adds to a body of 1 MiB, against SHA-256 of it alone",
            1.15,
            "×",
            ratio(mib("nginx", "ours"), sha256),
        ),
        target(
            "Nginx: 99th percentile of latency, against the plain proxy's",
            1.15,
            "×",
            slower(results, "nginx", "ours"),
        ),
    ]
}

/// How much longer the slowest callbacks take.
fn slower(results: &Results, host: &str, row: &str) -> Option<f64> {
    Some(results.latency(host, row)?.p99_us? / results.latency(host, "plain")?.p99_us?)
}

/// The promises as a table.
pub(crate) fn sheet(results: &Results) -> Sheet {
    let rows = targets(results).into_iter().map(|target| {
        vec![
            target.text.into(),
            figure(target.limit, target.unit),
            target.measured.map_or("not measured".into(), |measured| figure(measured, target.unit)),
            target.met().map_or("–", |met| if met { "yes" } else { "NO" }).into(),
        ]
    });
    Sheet { title: "Targets".into(), header: vec!["what", "at most", "measured", "met"], rows: rows.collect() }
}

fn figure(value: f64, unit: &str) -> String {
    match unit {
        "×" => format!("{value:.2} ×"),
        unit if value < 100.0 => format!("{value:.1} {unit}"),
        unit => format!("{value:.0} {unit}"),
    }
}

/// Prints the promises; the answer is whether none is missed.
pub(crate) fn check(results: &Results) -> bool {
    sheet(results).print();
    targets(results).iter().all(|target| target.met() != Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_missed() {
        let with = |measured| Target { text: "", limit: 1.0, unit: "×", measured };
        assert_eq!(with(None).met(), None);
        assert_eq!(with(Some(1.0)).met(), Some(true));
        assert_eq!(with(Some(1.01)).met(), Some(false));
    }
}
