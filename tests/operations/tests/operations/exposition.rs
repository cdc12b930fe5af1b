//! Prometheus's text format, read strictly: what a scrape would refuse fails here.
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// One series: its name and its labels.
pub(crate) type Series = (String, BTreeMap<String, String>);

/// One answer of `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// The type of each family.
    pub(crate) types: BTreeMap<String, String>,
    /// Every sample.
    pub(crate) samples: BTreeMap<Series, f64>,
}

impl Exposition {
    /// The series alone.
    pub(crate) fn series(&self) -> BTreeSet<&Series> {
        self.samples.keys().collect()
    }

    /// The sum of a family's samples that have `label` at `value`.
    pub(crate) fn sum(&self, name: &str, label: (&str, &str)) -> f64 {
        let fits =
            |(family, labels): &Series| family == name && labels.get(label.0).is_some_and(|value| value == label.1);
        self.samples.iter().filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
    }
}

/// Reads it. Counters and gauges are all there is.
pub(crate) fn parse(text: &str) -> Result<Exposition> {
    ensure!(text.ends_with('\n'), "the last line has no end");
    let mut read = Exposition::default();
    let mut family = String::new();
    let mut closed = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            let [kind, name, rest] = words[..] else { bail!("{line}: a comment of a wrong form") };
            if kind == "TYPE" {
                ensure!(["counter", "gauge"].contains(&rest), "{line}: a type that nobody knows");
                ensure!(read.types.insert(name.into(), rest.into()).is_none(), "{line}: a second TYPE");
            } else {
                ensure!(kind == "HELP", "{line}: a comment of a wrong form");
            }
            continue;
        }
        let (series, value) = sample(line).with_context(|| line.to_owned())?;
        ensure!(read.types.contains_key(&series.0), "{line}: no TYPE before it");
        if series.0 != family {
            ensure!(closed.insert(series.0.clone()), "{line}: its family is in two places");
            family.clone_from(&series.0);
        }
        ensure!(read.samples.insert(series, value).is_none(), "{line}: a second sample of the series");
    }
    ensure!(!read.samples.is_empty(), "no sample");
    Ok(read)
}

fn sample(line: &str) -> Result<(Series, f64)> {
    let (series, value) = line.rsplit_once(' ').context("a value")?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').context("the end of the labels")?),
        None => (series, ""),
    };
    ensure!(is_name(name), "the name {name:?}");
    let mut read = BTreeMap::new();
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once('=').context("a label without a value")?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).context("quotes")?;
        ensure!(is_name(label), "the label {label:?}");
        // None of the values here needs an escape: policies and codes are plain words.
        ensure!(!value.contains(['"', '\\']), "the value {value:?}");
        ensure!(read.insert(label.into(), value.into()).is_none(), "the label {label} twice");
    }
    Ok(((name.into(), read), value.parse()?))
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// The reader does refuse.
pub(crate) fn is_strict() -> Result<()> {
    parse("# TYPE a counter\na{b=\"c\"} 1\n")?;
    for wrong in [
        "",
        "# TYPE a counter\na 1",
        "a 1\n",
        "# TYPE a counter\na 1\na 2\n",
        "# TYPE a counter\na{b=c} 1\n",
        "# TYPE a counter\na{b=\"c\" 1\n",
        "# TYPE a counter\n1a 1\n",
        "# TYPE a counter\n# TYPE a gauge\na 1\n",
        "# TYPE a counter\n# TYPE b gauge\na 1\nb 1\na{b=\"c\"} 2\n",
        "# TYPE a counter\na x\n",
        "# TYPE a number\na 1\n",
    ] {
        ensure!(parse(wrong).is_err(), "accepted: {wrong:?}");
    }
    Ok(())
}
