//! `docs/performance.md` and its charts. The words are the page's own; between marks in it, the figures of one run take
//! the place of the last one's.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use secure_callbacks_harness::tools;

use super::chart::charts;
use super::table::{Sheet, tables};
use crate::results::{About, Results};
use crate::targets;

/// What follows the figures of a name, which `<!-- figures: NAME -->` opens.
const END: &str = "<!-- end of figures -->\n";

/// Writes the charts, and the figures into the page.
pub(crate) fn write_docs(results: &Results) -> Result<()> {
    let docs = tools::root().join("docs");
    let page = docs.join("performance.md");
    let mut text = fs::read_to_string(&page)?;
    for (name, figures) in [
        ("run", about(&results.about)),
        ("charts", pictures(results, &docs)?),
        ("rows", rows(results)),
        ("targets", markdown(&targets::sheet(results))),
    ] {
        text = with_figures(&text, name, &figures)
            .with_context(|| format!("docs/performance.md has no place for the figures `{name}`"))?;
    }
    fs::write(page, text)?;
    println!("written: the figures of docs/performance.md, and docs/performance/*.svg");
    Ok(())
}

/// The page with these figures in the place of those of the same name; `None`: it has no such place.
fn with_figures(page: &str, name: &str, figures: &str) -> Option<String> {
    let mark = format!("<!-- figures: {name} -->\n");
    let (before, rest) = page.split_once(&mark)?;
    let (old, after) = rest.split_once(END)?;
    // The end of the next ones is not the end of these.
    let is_whole = !old.contains("<!-- figures:") && !after.contains(&mark);
    is_whole.then(|| format!("{before}{mark}{figures}{END}{after}"))
}

fn about(about: &About) -> String {
    let versions: Vec<_> = about.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "{}, commit `{}`. {}, {} cores, {}. {}. {} rounds. A busy loop got {:.0} % of the proxies' core between the rounds. \
         SHA-256 of 1 MiB by itself: {:.0} µs.\n",
        about.date,
        about.commit,
        about.processor,
        about.cores,
        about.kernel,
        versions.join(", "),
        about.rounds,
        about.core_share * 100.0,
        about.sha256_mib_us,
    )
}

fn pictures(results: &Results, docs: &Path) -> Result<String> {
    let directory = docs.join("performance");
    fs::create_dir_all(&directory)?;
    let mut shown = Vec::new();
    for chart in charts(results) {
        chart.write(&directory)?;
        shown.push(format!("![{}](performance/{})\n", chart.title, chart.file));
    }
    Ok(shown.join("\n"))
}

fn rows(results: &Results) -> String {
    let sheets = tables(results).into_iter().map(|sheet| format!("**{}**\n\n{}", sheet.title, markdown(&sheet)));
    let skipped = results.skipped.iter().map(|(row, reason)| format!("Skipped: {row}: {reason}\n"));
    sheets.chain(skipped).collect::<Vec<_>>().join("\n")
}

fn markdown(sheet: &Sheet) -> String {
    let is_text = |(column, name): (usize, &&str)| column == 0 || *name == "looks at";
    let rules = sheet.header.iter().enumerate().map(|column| if is_text(column) { "---" } else { "--:" });
    let rules: Vec<_> = rules.collect();
    let mut text = format!("| {} |\n| {} |\n", sheet.header.join(" | "), rules.join(" | "));
    for row in &sheet.rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/performance.md");

    #[test]
    fn figures_take_the_place_of_those_before_and_of_nothing_else() {
        let page = "a\n<!-- figures: x -->\nold\n<!-- end of figures -->\nb\n<!-- figures: y -->\nold\n<!-- end of figures -->\nc\n";
        let new = with_figures(page, "y", "new\n").unwrap();
        assert_eq!(new, page.replace("y -->\nold", "y -->\nnew"));
        assert_eq!(with_figures(&new, "y", "new\n"), Some(new));
        for broken in [
            page.replace("figures: x", "figures: z"),
            page.replacen(END, "", 1),
            page.replace(END, ""),
            page.replace("figures: y", "figures: x"),
        ] {
            assert_eq!(with_figures(&broken, "x", "new\n"), None, "{broken}");
        }
    }

    #[test]
    fn the_page_has_a_place_for_each() {
        for name in ["run", "charts", "rows", "targets"] {
            let page = with_figures(PAGE, name, "new\n").expect(name);
            assert!(page.len() < PAGE.len() && page.contains("## How it is measured"), "{name}");
        }
    }
}
