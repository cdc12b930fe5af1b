//! `docs/performance.md` and its charts: every figure comes from one run, the words around them stay.

use std::fmt::Write;
use std::fs;

use anyhow::Result;
use secure_callbacks_harness::tools;

use super::chart::charts;
use super::table::{Sheet, tables};
use crate::results::{About, Results};
use crate::targets;

const OPENING: &str = "\
# What it costs

Written by `cargo xtask bench --write-docs`: text and figures are of one run.
";

const METHOD: &str = "\
## How it is measured

- Real proxies, one worker each, on a core of their own; the sender and the application behind them have the others.
  Sixteen kept connections, each with one callback under way. No access log in any row.
- **CPU time** is what the kernel's scheduler counted for the proxy's processes during a round (`/proc/PID/task/*/schedstat`),
  by the callbacks in it. A program beside the proxy counts too; its part stands in parentheses, and in another colour.
- In each round every row has its turn, always in another order. Whatever else the machine does can only add to a figure,
  so of each row's rounds the lower half counts, and the figures are medians over it; every single round is in the JSON.
  **Added** is the difference to the plain proxy.
- Every token is fresh and signed in advance; ours remembers each (replay), the others do not look. Its table is of the
  default size; for a run's callbacks to fit, `max_age` is five seconds.
- **Latency** is taken at a constant rate, half of the plain proxy's top rate, and counts from the moment at which the
  callback was due, so waiting counts. A row whose own top rate is not above that has no figure.
- **Top rate** is what one core for the proxy and the rest for sender and application gave.
- Envoy closes a connection on which it refuses before the whole request is read. `jwt_authn` does, so its figure for
  refusing has a new connection for each callback in it; ours and `ext_authz` wait for the body, and Nginx keeps the
  connection.
- Ours tells every refusal in the log, at `warn`, the others tell none. Envoy's rows write the lines. Nginx writes them if
  `error_log` says `warn`; its own default is `error`, so that a row of its own shows what the line costs.
- **The time to start** is taken on all cores, with two listeners: the median of five starts until a connection is taken.
- Before a row is timed it is seen to forward what is good and to refuse what it promises to refuse.
- The configurations are in [`tests/bench/peers`](../tests/bench/peers). Where rows check less than ours, the column *looks
  at* says so. njs of this version has no handler in the access phase: its row checks in `js_content` and redirects inside
  Nginx. `auth_request` sends no body, so its service sees the token alone.
";

/// What no single run can say.
const TRIED: &str = include_str!("tried.md");

/// Writes the page and the charts.
pub(crate) fn write_docs(results: &Results) -> Result<()> {
    let docs = tools::root().join("docs");
    let pictures = docs.join("performance");
    fs::create_dir_all(&pictures)?;
    let mut page = String::from(OPENING);
    about(&mut page, &results.about)?;
    for chart in charts(results) {
        chart.write(&pictures)?;
        write!(page, "\n![{}](performance/{})\n", chart.title, chart.file)?;
    }
    page.push_str("\n## Figures\n");
    for sheet in tables(results) {
        write!(page, "\n**{}**\n\n", sheet.title)?;
        markdown(&mut page, &sheet)?;
    }
    for (row, reason) in &results.skipped {
        write!(page, "\nSkipped: {row}: {reason}\n")?;
    }
    page.push_str("\n## Targets\n\n`cargo xtask bench --check` fails where one of these is missed.\n\n");
    markdown(&mut page, &targets::sheet(results))?;
    page.push('\n');
    page.push_str(METHOD);
    page.push('\n');
    page.push_str(TRIED);
    fs::write(docs.join("performance.md"), page)?;
    println!("written: docs/performance.md and docs/performance/*.svg");
    Ok(())
}

fn about(page: &mut String, about: &About) -> Result<()> {
    let versions: Vec<_> = about.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    write!(
        page,
        "\n{}, commit `{}`. {}, {} cores, {}. {}. {} rounds. A busy loop got {:.0} % of the proxies' core between the \
         rounds: the nearer to 100 %, the quieter the machine and the steadier the figures. SHA-256 of 1 MiB by itself: \
         {:.0} µs.\n",
        about.date,
        about.commit,
        about.processor,
        about.cores,
        about.kernel,
        versions.join(", "),
        about.rounds,
        about.core_share * 100.0,
        about.sha256_mib_us,
    )?;
    Ok(())
}

fn markdown(page: &mut String, sheet: &Sheet) -> Result<()> {
    writeln!(page, "| {} |", sheet.header.join(" | "))?;
    let is_text = |(column, name): (usize, &&str)| column == 0 || *name == "looks at";
    let rules = sheet.header.iter().enumerate().map(|column| if is_text(column) { "---" } else { "--:" });
    let rules: Vec<_> = rules.collect();
    writeln!(page, "| {} |", rules.join(" | "))?;
    for row in &sheet.rows {
        writeln!(page, "| {} |", row.join(" | "))?;
    }
    Ok(())
}
