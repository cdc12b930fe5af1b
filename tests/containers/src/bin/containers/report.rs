//! The report: a table in the output, and files in `target/docker`.
use crate::site::Site;
use crate::tally::Tally;
use anyhow::{Context, Result};
use comfy_table::{Table, TableStyle, presets};
use serde_json::json;
use std::time::Duration;

const HEADINGS: [&str; 13] = [
    "scenario",
    "proxy",
    "sent",
    "forged",
    "attempts",
    "accepted",
    "refused",
    "failed attempts",
    "delivered",
    "delivered again",
    "never delivered",
    "forged and delivered",
    "answers lost",
];

const NOTES: &str = "\
sent: genuine callbacks. forged: those that must not arrive, also those that were never whole. refused: the last reply
was 4xx. failed attempts: 5xx or no reply, then sent again with the same token.
Must be 0: delivered again (after an answer below 500 had reached the proxy), never delivered (the sender goes on for two
minutes, and gives up at the first 401), forged and delivered.
answers lost: delivered twice because the application's answer got lost before the proxy had it, or with the proxy: no
proxy can know of such an answer. Deduplicate by X-Callback-Jti where that matters.";

/// The run so far.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) images: Vec<String>,
    /// How many lines and rows were compared.
    pub(crate) checks: usize,
    pub(crate) wrong: Vec<String>,
    tallies: Vec<Tally>,
}

impl Report {
    pub(crate) fn add(&mut self, tallies: Vec<Tally>) {
        for tally in tallies {
            self.checks += 1;
            self.wrong.extend(tally.wrong.iter().cloned());
            self.tallies.push(tally);
        }
    }

    /// The table, to the output and into `target/docker/report.md`; the numbers, into `report.json`.
    pub(crate) fn write(&self, took: Duration) -> Result<()> {
        let mut sum = [0; 11];
        for tally in &self.tallies {
            sum.iter_mut().zip(numbers(tally)).for_each(|(sum, number)| *sum += number);
        }
        let mut rows: Vec<_> =
            self.tallies.iter().map(|tally| cells([tally.scenario, tally.proxy], numbers(tally))).collect();
        rows.push(cells(["all", "all"], sum));
        println!("{}\n{NOTES}", table(presets::UTF8_FULL_CONDENSED, &rows));
        let images = self.images.iter().map(|image| format!("- {image}\n")).collect::<String>();
        let wrong = self.wrong.iter().map(|line| format!("- wrong: {line}\n")).collect::<String>();
        let text = format!(
            "# The faults in containers\n\n{}\n\n{NOTES}\n\n{images}{wrong}- {} s in all\n",
            table(presets::ASCII_MARKDOWN, &rows),
            took.as_secs()
        );
        let path = Site::folder().join("report.md");
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        let rows: Vec<_> = rows.iter().map(|row| json!(HEADINGS.iter().zip(row).collect::<Vec<_>>())).collect();
        let numbers = json!({ "rows": rows, "wrong": self.wrong, "images": self.images, "seconds": took.as_secs() });
        std::fs::write(Site::folder().join("report.json"), serde_json::to_vec_pretty(&numbers)?)?;
        println!("report: target/docker/report.md, {} s", took.as_secs());
        Ok(())
    }

    /// The last words.
    pub(crate) fn close(&self, name: &str) {
        for line in &self.wrong {
            println!("wrong: {line}");
        }
        match self.wrong.len() {
            0 => println!("{name}: {} checks, all as expected", self.checks),
            wrong => println!("{name}: {} checks, {wrong} things not as expected", self.checks),
        }
    }
}

fn table(style: TableStyle, rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(style).set_header(HEADINGS).add_rows(rows);
    table
}

fn cells(names: [&str; 2], numbers: [usize; 11]) -> Vec<String> {
    names.map(str::to_owned).into_iter().chain(numbers.map(|number| number.to_string())).collect()
}

/// In the order of the headings.
fn numbers(tally: &Tally) -> [usize; 11] {
    [
        tally.genuine,
        tally.forged,
        tally.attempts,
        tally.accepted,
        tally.refused,
        tally.failed,
        tally.delivered,
        tally.again,
        tally.never,
        tally.forged_delivered,
        tally.answers_lost,
    ]
}
