//! The tables on the terminal. [`tables`] makes them as plain rows, which the page in `docs` shows as well.

use comfy_table::{CellAlignment, Table, presets};

use crate::peers::{Host, is_ours};
use crate::results::{Case, Results};

/// A table with a title; the first column is text, the others are figures.
pub(crate) struct Sheet {
    pub(crate) title: String,
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Prints it.
    pub(crate) fn print(self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(&self.header);
        for row in self.rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{}\n{table}\n", self.title);
    }
}

/// Prints all tables.
pub(crate) fn terminal(results: &Results) {
    for sheet in tables(results) {
        sheet.print();
    }
    for (row, reason) in &results.skipped {
        println!("skipped: {row}: {reason}");
    }
}

/// All tables of a run.
pub(crate) fn tables(results: &Results) -> Vec<Sheet> {
    let mut sheets: Vec<_> = Host::ALL.into_iter().filter_map(|host| rows(results, host)).collect();
    sheets.extend(cases(results));
    sheets
}

/// Every row of a host with the common callback.
fn rows(results: &Results, host: Host) -> Option<Sheet> {
    let costs: Vec<_> =
        results.costs.iter().filter(|cost| cost.host == host.name() && cost.case == Case::COMMON).collect();
    if costs.is_empty() {
        return None;
    }
    let rows = costs.iter().map(|cost| {
        let forged = results.cost(host.name(), cost.row, Case::FORGED);
        let latency = results.latency(host.name(), cost.row);
        let footprint = results.footprint(host.name(), cost.row);
        let beside =
            |figure: String, helper: f64| if helper > 0.0 { format!("{figure} ({helper:.1})") } else { figure };
        let added = results.added(host.name(), cost.row, Case::COMMON).filter(|_| cost.row != "plain");
        let percentile = |figure: Option<f64>| figure.map_or("–".into(), |figure| format!("{figure:.0}"));
        vec![
            cost.title.into(),
            cost.looks_at.into(),
            beside(format!("{:.1}", cost.total_us), cost.helper_us),
            added.map_or("–".into(), |added| format!("{added:+.1}")),
            forged.map_or("–".into(), |forged| beside(format!("{:.1}", forged.total_us), forged.helper_us)),
            format!("{:.0}", cost.per_second),
            percentile(latency.and_then(|latency| latency.p50_us)),
            percentile(latency.and_then(|latency| latency.p99_us)),
            percentile(latency.and_then(|latency| latency.p999_us)),
            footprint.map_or("–".into(), |footprint| {
                beside(
                    format!("{:.1}", (footprint.proxy_rss_kib + footprint.helper_rss_kib) as f64 / 1024.0),
                    footprint.helper_rss_kib as f64 / 1024.0,
                )
            }),
        ]
    });
    let rate = results.latency(host.name(), "plain").map_or(0.0, |latency| latency.rate_per_second);
    Some(Sheet {
        title: format!("{}: callbacks of 228 bytes over HTTP/1.1; latency at {rate:.0} a second", host.title()),
        header: vec![
            "row",
            "looks at",
            "accept, CPU µs",
            "added",
            "refuse, CPU µs",
            "top rate /s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "RSS MiB",
        ],
        rows: rows.collect(),
    })
}

/// The plain proxies and ours with every case.
fn cases(results: &Results) -> Option<Sheet> {
    let mut rows = Vec::new();
    for cost in results.costs.iter().filter(|cost| is_ours(cost.row) && cost.case != Case::FORGED) {
        let Some(plain) = results.cost(cost.host, "plain", cost.case) else { continue };
        let added = results.added(cost.host, cost.row, cost.case).unwrap_or_default();
        let part = if cost.row == "module" { "envoy's module" } else { cost.host };
        rows.push(vec![
            format!("{part}, {}", cost.case),
            format!("{:.1}", plain.total_us),
            format!("{:.1}", cost.total_us),
            format!("{added:+.1}"),
            format!("{:.0}", plain.per_second),
            format!("{:.0}", cost.per_second),
        ]);
    }
    rows.sort();
    (!rows.is_empty()).then(|| Sheet {
        title: "Other bodies and transports: the plain proxies and secure-callbacks".into(),
        header: vec!["case", "plain, CPU µs", "ours, CPU µs", "added", "plain, top rate /s", "ours, top rate /s"],
        rows,
    })
}
