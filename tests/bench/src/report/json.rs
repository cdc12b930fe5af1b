//! The results for programs: `target/bench/<date>-<time>.json` and `latest.json`.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use secure_callbacks_harness::tools;

use crate::results::Results;

pub(crate) fn write_json(results: &Results) -> Result<()> {
    let directory = tools::target().join("bench");
    fs::create_dir_all(&directory)?;
    let text = serde_json::to_string_pretty(results)? + "\n";
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let file = format!("{}-{seconds}.json", results.about.date);
    fs::write(directory.join(&file), &text)?;
    fs::write(directory.join("latest.json"), &text)?;
    println!("all figures: target/bench/{file}");
    Ok(())
}
