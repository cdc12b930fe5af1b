//! Bar charts as SVG, drawn from the results.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::peers::{Host, is_ours};
use crate::results::{Case, Results};

const WIDTH: u32 = 820;
const LABELS: i32 = 330;
const BAR: i32 = 20;
const STEP: i32 = 30;
const OURS: RGBColor = RGBColor(0x1b, 0x7f, 0x5c);
const OTHERS: RGBColor = RGBColor(0x8a, 0x9b, 0xb0);
const BESIDE: RGBColor = RGBColor(0xc9, 0xa2, 0x4b);
const INK: RGBColor = RGBColor(0x24, 0x2a, 0x33);

/// One bar: parts side by side, and what is written behind them.
pub(crate) struct Bar {
    label: String,
    is_ours: bool,
    value: f64,
    /// How much of `value` is the program beside the proxy.
    beside: f64,
    text: String,
}

/// A chart: bars under headings.
pub(crate) struct Chart {
    pub(crate) file: &'static str,
    pub(crate) title: String,
    groups: Vec<(String, Vec<Bar>)>,
}

/// All charts that the results allow.
pub(crate) fn charts(results: &Results) -> Vec<Chart> {
    let mut charts = vec![added(results), refused(results), latency(results), bodies(results)];
    for chart in &mut charts {
        chart.groups.retain(|(_, bars)| !bars.is_empty());
    }
    charts.retain(|chart| !chart.groups.is_empty());
    charts
}

fn added(results: &Results) -> Chart {
    let group = |host: Host| {
        let rows = results.costs.iter().filter(|cost| cost.host == host.name() && cost.case == Case::COMMON);
        let bars = rows.filter(|cost| cost.row != "plain").filter_map(|cost| {
            let added = results.added(host.name(), cost.row, Case::COMMON)?;
            // The application is beside the proxy in its plain row too, so nothing can be told apart there.
            let beside = if host == Host::Application { 0.0 } else { cost.helper_us };
            Some(Bar {
                label: cost.title.into(),
                is_ours: is_ours(cost.row),
                value: added,
                beside,
                text: format!("{added:+.1} µs"),
            })
        });
        let plain = results.cost(host.name(), "plain", Case::COMMON).map_or(0.0, |cost| cost.total_us);
        (format!("{}: over {plain:.1} µs without a check", host.title()), bars.collect())
    };
    Chart {
        file: "added.svg",
        title: "CPU time added to each callback of 228 bytes (less is better)".into(),
        groups: Host::ALL.into_iter().map(group).collect(),
    }
}

fn refused(results: &Results) -> Chart {
    let group = |host: Host| {
        let rows = results.costs.iter().filter(|cost| cost.host == host.name() && cost.case == Case::FORGED);
        let bars = rows.map(|cost| Bar {
            label: cost.title.into(),
            is_ours: is_ours(cost.row),
            value: cost.total_us,
            beside: if host == Host::Application { 0.0 } else { cost.helper_us },
            text: format!("{:.1} µs", cost.total_us),
        });
        let plain = results.cost(host.name(), "plain", Case::COMMON).map_or(0.0, |cost| cost.total_us);
        (format!("{}: a callback without a check costs {plain:.1} µs", host.title()), bars.collect())
    };
    Chart {
        file: "refused.svg",
        title: "CPU time to refuse a forged callback (less is better)".into(),
        groups: Host::ALL.into_iter().map(group).collect(),
    }
}

fn latency(results: &Results) -> Chart {
    let group = |host: Host| {
        let rows = results.latencies.iter().filter(|latency| latency.host == host.name());
        let bars = rows.filter_map(|latency| {
            let (p50, p99) = (latency.p50_us?, latency.p99_us?);
            Some(Bar {
                label: latency.title.into(),
                is_ours: is_ours(latency.row),
                value: p99,
                beside: 0.0,
                text: format!("{p99:.0} µs (p50 {p50:.0})"),
            })
        });
        let rate = results.latency(host.name(), "plain").map_or(0.0, |latency| latency.rate_per_second);
        (format!("{} at {rate:.0} callbacks a second", host.title()), bars.collect())
    };
    Chart {
        file: "latency.svg",
        title: "99th percentile of latency at a constant rate; rows that keep up".into(),
        groups: Host::ALL.into_iter().map(group).collect(),
    }
}

fn bodies(results: &Results) -> Chart {
    let group = |(host, row, heading): (Host, &str, &str)| {
        let rows = results.costs.iter().filter(|cost| cost.host == host.name() && cost.row == row);
        let bars = rows.filter(|cost| cost.case == Case::sized(cost.case.body_bytes)).filter_map(|cost| {
            let added = results.added(host.name(), row, cost.case)?;
            let per_kib = added / (cost.case.body_bytes as f64 / 1024.0);
            // The fixed part of the cost outweighs a small body.
            let per_kib =
                if cost.case.body_bytes < 64 << 10 { String::new() } else { format!(" ({per_kib:.2} a KiB)") };
            Some(Bar {
                label: cost.case.to_string(),
                is_ours: true,
                value: added,
                beside: 0.0,
                text: format!("{added:+.1} µs{per_kib}"),
            })
        });
        (heading.to_owned(), bars.collect())
    };
    let groups = [
        (Host::Envoy, "ours", "Envoy, in the sandbox"),
        (Host::Envoy, "module", "Envoy, native module"),
        (Host::Nginx, "ours", "Nginx"),
    ];
    Chart {
        file: "bodies.svg",
        title: format!(
            "CPU time that secure-callbacks adds, by size of the body (SHA-256 of 1 MiB alone: {:.0} µs)",
            results.about.sha256_mib_us
        ),
        groups: groups.map(group).into(),
    }
}

impl Chart {
    /// Writes it into `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let lines: usize = self.groups.iter().map(|(_, bars)| bars.len() + 1).sum();
        let lines = lines + usize::from(self.has_beside());
        let height = 56 + u32::try_from(lines)? * STEP.unsigned_abs();
        let path = directory.join(self.file);
        let area = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
        self.draw(&area).map_err(|problem| anyhow!("drawing {}: {problem}", self.file))
    }

    fn has_beside(&self) -> bool {
        self.groups.iter().flat_map(|(_, bars)| bars).any(|bar| bar.beside > 0.0)
    }

    fn draw(&self, area: &Area<'_>) -> Result<(), Problem> {
        area.fill(&WHITE)?;
        let style =
            |size: i32, anchor| ("sans-serif", size).into_font().color(&INK).pos(Pos::new(anchor, VPos::Center));
        area.draw(&Text::new(self.title.clone(), (16, 24), style(17, HPos::Left)))?;
        let most = self.groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        // Behind the longest bar there is still room for its text.
        let scale = f64::from(WIDTH as i32 - LABELS - 190) / most;
        let mut top = 48;
        for (heading, bars) in &self.groups {
            area.draw(&Text::new(heading.clone(), (16, top + STEP / 2), style(14, HPos::Left)))?;
            top += STEP;
            for bar in bars {
                let middle = top + STEP / 2;
                let end = |value: f64| LABELS + (value.max(0.0) * scale).round().max(1.0) as i32;
                let colour = if bar.is_ours { OURS } else { OTHERS };
                let part = |from: i32, to: i32, colour: RGBColor| {
                    Rectangle::new([(from, middle - BAR / 2), (to, middle + BAR / 2)], colour.filled())
                };
                area.draw(&Text::new(bar.label.clone(), (LABELS - 10, middle), style(14, HPos::Right)))?;
                area.draw(&part(LABELS, end(bar.value), colour))?;
                if bar.beside > 0.0 {
                    area.draw(&part(end(bar.value - bar.beside), end(bar.value), BESIDE))?;
                }
                area.draw(&Text::new(bar.text.clone(), (end(bar.value) + 8, middle), style(14, HPos::Left)))?;
                top += STEP;
            }
        }
        if self.has_beside() {
            let middle = top + STEP / 2;
            let sample = [(16, middle - BAR / 2), (16 + BAR, middle + BAR / 2)];
            area.draw(&Rectangle::new(sample, BESIDE.filled()))?;
            let words = "the part of the program that the proxy asks";
            area.draw(&Text::new(words, (24 + BAR, middle), style(14, HPos::Left)))?;
        }
        area.present()
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Problem = DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>;
