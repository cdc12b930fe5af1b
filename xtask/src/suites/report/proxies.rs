//! The table of suites in each proxy: a line for each proxy, a column for each suite.

use crate::runner::InProxy;

/// The lines, the first one naming the suites. Parts of a suite that ran one after the other are added up.
pub(super) fn table(all: &[InProxy]) -> Vec<String> {
    let (mut proxies, mut suites): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for InProxy { proxy, suite, .. } in all {
        if !proxies.contains(&proxy.as_str()) {
            proxies.push(proxy);
        }
        if !suites.contains(&suite.as_str()) {
            suites.push(suite);
        }
    }
    proxies.sort_by_key(|proxy| key(proxy));
    let head = std::iter::once(String::new()).chain(suites.iter().map(|suite| (*suite).to_owned())).collect();
    let lines = proxies.iter().map(|proxy| {
        let cells = suites.iter().map(|suite| cell(all.iter().filter(|it| it.proxy == *proxy && it.suite == *suite)));
        std::iter::once((*proxy).to_owned()).chain(cells).collect()
    });
    aligned(&std::iter::once(head).chain(lines).collect::<Vec<Vec<String>>>())
}

/// By product, and then by the numbers of the version.
fn key(proxy: &str) -> (&str, Vec<u32>) {
    let (product, version) = proxy.rsplit_once('-').unwrap_or((proxy, ""));
    (product, version.split('.').filter_map(|number| number.parse().ok()).collect())
}

fn cell<'a>(parts: impl Iterator<Item = &'a InProxy>) -> String {
    let sum = parts.cloned().reduce(|mut sum, part| {
        sum.count.add(part.count);
        sum.seconds += part.seconds;
        sum
    });
    sum.map_or_else(
        || "-".into(),
        |InProxy { count, seconds, .. }| {
            let failed = if count.failed > 0 { format!("{} FAILED", count.failed) } else { "0".into() };
            format!("{} / {failed} / {}, {seconds:.0} s", count.passed, count.skipped)
        },
    )
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Count;

    #[test]
    fn parts_of_a_suite_are_one_cell_and_versions_are_in_their_order() {
        let ran = |suite: &str, proxy: &str, failed| InProxy {
            suite: suite.into(),
            proxy: proxy.into(),
            count: Count { passed: 3, failed, skipped: 1 },
            seconds: 1.6,
        };
        let all = [
            ran("vectors", "nginx-1.30.6", 0),
            ran("vectors", "nginx-1.4.0", 0),
            ran("hosts", "nginx-1.30.6", 2),
            ran("hosts", "nginx-1.30.6", 0),
        ];
        assert_eq!(
            table(&all),
            [
                "              vectors         hosts",
                "nginx-1.4.0   3 / 0 / 1, 2 s  -",
                "nginx-1.30.6  3 / 0 / 1, 2 s  6 / 2 FAILED / 2, 3 s",
            ]
        );
    }
}
