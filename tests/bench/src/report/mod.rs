//! What becomes of the results: tables, JSON, charts and the page in `docs`.

mod chart;
mod docs;
mod json;
mod table;

pub(crate) use docs::write_docs;
pub(crate) use json::write_json;
pub(crate) use table::{Sheet, terminal};
