//! Reads the tables: `policies.json`, and rows from every other file beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::expect::{Case, Difference, Expectation, Host};
use crate::request::{Rendered, Request};
use crate::token::API_KEY;

/// The tables.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// The policies by name, in the form Envoy takes; [`crate::nginx_block`] turns one into Nginx's.
    pub policies: BTreeMap<String, Value>,
    /// The rows, by file name and then as written.
    pub rows: Vec<Row>,
}

/// One request and what has to come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Unique over all tables; lower-case letters, digits and underscores.
    pub name: String,
    /// The table it is in: its file's name without `.json`.
    #[serde(skip)]
    pub topic: String,
    /// The policy's name in [`Vectors::policies`].
    #[serde(default = "default_policy")]
    pub policy: String,
    /// What would be wrong if this came out otherwise.
    pub why: String,
    #[serde(default)]
    before: Vec<Before>,
    /// The request.
    #[serde(default)]
    pub request: Request,
    expect: Expectation,
    #[serde(default)]
    meanwhile: Option<Expectation>,
    #[serde(default)]
    again: Option<Expectation>,
    #[serde(default)]
    hosts: BTreeMap<Host, Difference>,
    /// The first secret of the policy's account [`API_KEY`].
    #[serde(skip)]
    secret: String,
}

impl Row {
    /// What `host` has to do, or the reason why it is left out.
    ///
    /// # Errors
    /// The reason for leaving the row out.
    pub fn expect_for(&self, host: Host) -> Result<Case, &str> {
        let other = self.hosts.get(&host);
        if let Some(reason) = other.and_then(|other| other.skip.as_deref()) {
            return Err(reason);
        }
        let either = |own: &Option<Expectation>, others: Option<&Option<Expectation>>| {
            others.and_then(Option::as_ref).or(own.as_ref()).cloned()
        };
        Ok(Case {
            expect: other.and_then(|other| other.expect.as_ref()).unwrap_or(&self.expect).clone(),
            meanwhile: either(&self.meanwhile, other.map(|other| &other.meanwhile)),
            again: either(&self.again, other.map(|other| &other.again)),
        })
    }

    /// The request as sent at `now` (seconds since 1970). `unique` ends its path and seeds its `jti`, so a new one makes
    /// a new callback. Letters, digits and `-` only.
    ///
    /// # Panics
    /// Never for a row that [`load`] returned.
    #[must_use]
    pub fn render(&self, now: i64, unique: &str) -> Rendered {
        self.request
            .render(self.secret.as_bytes(), now, unique, unique)
            .unwrap_or_else(|problem| panic!("{}: {problem}", self.name))
    }

    /// What has to be sent before the row's own request, one after the other, and what comes of it. Most rows have none.
    ///
    /// # Panics
    /// Never for a row that [`load`] returned.
    #[must_use]
    pub fn render_before(&self, now: i64, unique: &str) -> Vec<(Rendered, Expectation)> {
        self.try_render_before(now, unique).unwrap_or_else(|problem| panic!("{}: {problem}", self.name))
    }

    fn try_render_before(&self, now: i64, unique: &str) -> Result<Vec<(Rendered, Expectation)>, String> {
        let rendered = self.before.iter().enumerate().map(|(n, before)| {
            let id = format!("{unique}-before-{n}");
            let request = before.request.render(self.secret.as_bytes(), now, &id, unique)?;
            let expect = request.try_fill(&before.expect)?;
            Ok((request, expect))
        });
        rendered.collect()
    }

    fn problem(&self) -> Option<String> {
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.name.is_empty() || !self.name.chars().all(slug) {
            return Some("name: lower-case letters, digits and underscores only".into());
        }
        if self.why.is_empty() {
            return Some("why: say it".into());
        }
        if let Some(problem) = self.hosts.values().find_map(Difference::problem) {
            return Some(problem.into());
        }
        let rendered = match self.request.render(self.secret.as_bytes(), 1_700_000_000, "trial", "trial") {
            Ok(rendered) => rendered,
            Err(problem) => return Some(problem),
        };
        if let Err(problem) = self.try_render_before(1_700_000_000, "trial") {
            return Some(format!("before: {problem}"));
        }
        let cases = Host::ALL.map(|host| self.expect_for(host));
        if let Some(problem) = cases.iter().flatten().find_map(Case::problem) {
            return Some(problem.into());
        }
        let own = std::iter::once(&self.expect).chain(&self.meanwhile).chain(&self.again);
        let mut expectations = own.chain(self.hosts.values().flat_map(Difference::outcomes));
        expectations.find_map(|expect| rendered.try_fill(expect).err())
    }
}

/// A request that comes before a row's own; if nothing is said of it, a valid one that is accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    #[serde(default)]
    request: Request,
    #[serde(default = "Expectation::accepted")]
    expect: Expectation,
}

/// What is wrong with the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file's name.
    pub file: String,
    /// The row's name, or its number where it has none.
    pub row: Option<String>,
    /// The problem.
    pub problem: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.row {
            Some(row) => write!(f, "tests/vectors/{}: row {row}: {}", self.file, self.problem),
            None => write!(f, "tests/vectors/{}: {}", self.file, self.problem),
        }
    }
}

impl std::error::Error for Error {}

/// The tables of this repository.
///
/// # Errors
/// The file, the row and what is wrong with it.
pub fn load() -> Result<Vectors, Error> {
    load_from(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors"))
}

/// The tables in `folder`.
///
/// # Errors
/// As for [`load`].
pub fn load_from(folder: &Path) -> Result<Vectors, Error> {
    let policies: BTreeMap<String, Value> = read(folder, "policies.json")?;
    let listing = std::fs::read_dir(folder).map_err(|error| problem("", None, &error))?;
    let mut files = BTreeSet::new();
    for entry in listing {
        let name = entry.map_err(|error| problem("", None, &error))?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && name != "policies.json" {
            files.insert(name);
        }
    }
    let mut names = BTreeSet::new();
    let mut rows = Vec::new();
    for file in files {
        let table: Table = read(folder, &file)?;
        for (index, value) in table.rows.into_iter().enumerate() {
            let name = value.get("name").and_then(Value::as_str).map_or(format!("#{}", index + 1), str::to_owned);
            let fail = |cause: &dyn fmt::Display| problem(&file, Some(&name), cause);
            let mut row: Row = serde_json::from_value(value).map_err(|error| fail(&error))?;
            let policy = policies.get(&row.policy).ok_or_else(|| fail(&format!("no policy {:?}", row.policy)))?;
            row.secret = first_secret(policy).ok_or_else(|| fail(&format!("{:?} has no {API_KEY}", row.policy)))?;
            row.topic = file.trim_end_matches(".json").into();
            if let Some(cause) = row.problem() {
                return Err(fail(&cause));
            }
            if !names.insert(name.clone()) {
                return Err(fail(&"the name is taken"));
            }
            rows.push(row);
        }
    }
    Ok(Vectors { policies, rows })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rows: Vec<Value>,
}

fn first_secret(policy: &Value) -> Option<String> {
    let accounts = policy.get("accounts")?.as_array()?;
    let account = accounts.iter().find(|account| account.get("api_key").and_then(Value::as_str) == Some(API_KEY))?;
    Some(account.get("secrets")?.get(0)?.as_str()?.strip_prefix("text:")?.to_owned())
}

fn read<T: serde::de::DeserializeOwned>(folder: &Path, file: &str) -> Result<T, Error> {
    let text = std::fs::read_to_string(folder.join(file)).map_err(|error| problem(file, None, &error))?;
    serde_json::from_str(&text).map_err(|error| problem(file, None, &error))
}

fn problem(file: &str, row: Option<&str>, cause: &dyn fmt::Display) -> Error {
    Error { file: file.into(), row: row.map(str::to_owned), problem: cause.to_string() }
}

fn default_policy() -> String {
    "default".into()
}
