//! What becomes of the results: tables, JSON, charts and the page in `docs`.

mod json;
mod table;

pub(crate) use json::write_json;
pub(crate) use table::terminal;

use anyhow::Result;

use crate::results::Results;

pub(crate) fn write_docs(_: &Results) -> Result<()> {
    Ok(())
}
