//! The queries of the alert rules and of the dashboard, and whether a proxy's own metrics have what they ask for.
use crate::exposition::{Exposition, Series};
use crate::{metrics, runbook};
use anyhow::{Context, Result, anyhow, ensure};
use promql_parser::label::Matchers;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::Value;

const ALERTS: &str = include_str!("../../../../docs/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../../docs/grafana.json");

/// What Grafana puts in place of its variables; the longer names first.
const VARIABLES: [(&str, &str); 3] = [("$__rate_interval", "5m"), ("$__range", "6h"), ("$policy", ".*")];

/// One query, and the labels that its text to the reader names.
struct Query {
    place: String,
    text: String,
    labels: Vec<String>,
}

/// Every query finds series among the metrics of the real proxy, and every label it names is there.
pub(crate) fn find_what_they_ask(kind: ProxyKind) -> Result<()> {
    let site = runbook::enforcing(kind)?;
    let scraped = metrics::scrape(&site)?;
    for query in all()? {
        check(&query, &scraped).with_context(|| format!("{}: {}", query.place, query.text))?;
    }
    Ok(())
}

/// The check does find what is not there.
pub(crate) fn are_checked() -> Result<()> {
    let scraped =
        crate::exposition::parse("# TYPE calls_total counter\ncalls_total{policy=\"video\",result=\"accepted\"} 1\n")?;
    let query = |text: &str, label: &str| Query { place: "here".into(), text: text.into(), labels: vec![label.into()] };
    check(&query("sum by (policy) (rate(calls_total{result=\"accepted\"}[5m])) > 0", "policy"), &scraped)?;
    for (text, label) in [
        ("sum by (policy) (rate(calls{result=\"accepted\"}[5m]))", "policy"),
        ("sum by (policy) (rate(calls_total{result=\"acepted\"}[5m]))", "policy"),
        ("sum by (polcy) (rate(calls_total[5m]))", "polcy"),
        ("sum by (policy) (rate(calls_total[5m]))", "result"),
        ("rate(calls_total[5m]) / rate(calls_total{reslt=\"accepted\"}[5m])", "policy"),
        ("sum by (policy) (rate(calls_total[5m])", "policy"),
        ("1 + 1", "policy"),
    ] {
        ensure!(check(&query(text, label), &scraped).is_err(), "not noticed: {text}");
    }
    Ok(())
}

fn check(query: &Query, scraped: &Exposition) -> Result<()> {
    let expression = parser::parse(&query.text).map_err(|problem| anyhow!(problem))?;
    let mut parts = Parts::default();
    let Ok(_) = walk_expr(&mut parts, &expression);
    ensure!(!parts.selectors.is_empty(), "it asks for no metric");
    for selector in &parts.selectors {
        ensure!(scraped.samples.keys().any(|series| selects(selector, series)), "no series for {selector}");
    }
    let known = |label: &String| scraped.samples.keys().any(|(_, labels)| labels.contains_key(label));
    for label in parts.labels.iter().chain(&query.labels) {
        ensure!(known(label), "no series has the label {label}");
    }
    // What an aggregation leaves out can't be shown.
    for label in &query.labels {
        ensure!(!parts.aggregates || parts.labels.contains(label), "the label {label} is summed away");
    }
    Ok(())
}

fn selects(selector: &VectorSelector, (name, labels): &Series) -> bool {
    let Matchers { matchers, or_matchers } = &selector.matchers;
    selector.name.as_ref().is_some_and(|asked| asked == name)
        && or_matchers.is_empty()
        && matchers.iter().all(|matcher| labels.get(&matcher.name).is_some_and(|value| matcher.is_match(value)))
}

/// What a query is made of, as far as it matters here.
#[derive(Default)]
struct Parts {
    selectors: Vec<VectorSelector>,
    labels: Vec<String>,
    aggregates: bool,
}

impl ExprVisitor for Parts {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            Expr::VectorSelector(selector) => self.selectors.push(selector.clone()),
            Expr::MatrixSelector(range) => self.selectors.push(range.vs.clone()),
            Expr::Aggregate(aggregate) => {
                self.aggregates = true;
                if let Some(LabelModifier::Include(labels)) = &aggregate.modifier {
                    self.labels.extend(labels.labels.iter().cloned());
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

fn all() -> Result<Vec<Query>> {
    let mut queries = alerts()?;
    let rules = queries.len();
    queries.extend(panels()?);
    ensure!(rules >= 6 && queries.len() >= rules + 10, "{} queries, {rules} of them rules", queries.len());
    Ok(queries)
}

fn alerts() -> Result<Vec<Query>> {
    let file: Value = serde_yaml_ng::from_str(ALERTS)?;
    let rules = file["groups"].as_array().context("groups")?.iter().flat_map(|group| group["rules"].as_array());
    let mut queries = Vec::new();
    for rule in rules.flatten() {
        let text = rule["expr"].as_str().context("expr")?.to_owned();
        let said = rule["annotations"].to_string();
        let labels = said.split("$labels.").skip(1);
        let labels = labels.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        queries.push(Query { place: rule["alert"].to_string(), text, labels: labels.collect() });
    }
    Ok(queries)
}

fn panels() -> Result<Vec<Query>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let variable = dashboard["templating"]["list"][1]["query"].as_str().context("the variable policy")?;
    ensure!(variable == "label_values(secure_callbacks_requests_total, policy)", "{variable}");
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().context("targets")? {
            let mut text = target["expr"].as_str().context("expr")?.to_owned();
            for (variable, value) in VARIABLES {
                text = text.replace(variable, value);
            }
            ensure!(!text.contains('$'), "a variable that nobody fills: {text}");
            let legend = target["legendFormat"].as_str().context("legendFormat")?;
            let labels = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            let labels = labels.map(|label| label.trim().to_owned()).collect();
            queries.push(Query { place: panel["title"].to_string(), text, labels });
        }
    }
    Ok(queries)
}
