//! Answers that Envoy gives in the application's place: the application has seen nothing, so the same token must get
//! through when it is sent again.
use crate::common::policy;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::running::{Envoy, Running};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::upstream::{Answer, Delivery};
use secure_callbacks_support::merged;
use serde_json::{Value, json};

pub(crate) fn add(tests: &mut Tests<'_>) {
    tests.add("answered_by_envoy_itself_can_be_sent_again", own_answers);
    tests.add("answered_by_the_application_is_taken_below_500", applications_answers);
}

/// The header that asks for one of Envoy's own answers.
const ASK: &str = "x-ask";

/// What is asked for, the status that comes, and what is in the application's answer, if it is asked.
const OWN: [(&str, u16, Option<Delivery>); 11] = [
    ("rbac", 403, None),
    ("rate-limit", 429, None),
    ("no-route", 404, None),
    ("no-cluster", 503, None),
    ("direct", 204, None),
    ("https", 301, None),
    ("buffer", 413, None),
    ("second-filter", 401, None),
    ("reset", 503, Some(Delivery::ResetBefore)),
    ("mapped", 202, Some(Delivery::ResetBefore)),
    ("grpc", 200, Some(Delivery::ResetBefore)),
];

fn own_answers() -> Result<()> {
    let running = start()?;
    // The first one in an hour is within the limit.
    running.send(&Callback::new().header(ASK, "rate-limit"))?;
    for (ask, status, delivery) in OWN {
        let callback = Callback::new();
        if let Some(delivery) = delivery {
            running.upstream.script(&callback.id, [Answer::status(200).sent(delivery), Answer::status(200)]);
        }
        let mut asking = callback.clone().header(ASK, ask);
        if ask == "grpc" {
            asking.message = asking.message.without("Content-Type").header("Content-Type", "application/grpc");
        }
        let first = running.send(&asking).with_context(|| format!("{ask}: {}", running.log_end()))?;
        ensure!(first.status == status, "{ask}: {} instead of {status}: {}", first.status, first.text());
        let times = if delivery.is_some() { 2 } else { 1 };
        ensure!(running.upstream.deliveries(&callback.id) == times - 1, "{ask}: the application was asked");
        let again = running.send(&callback)?;
        running.accepted(&callback, &again, times).with_context(|| format!("again after {ask}"))?;
        let third = running.send(&callback)?;
        ensure!(third.code().as_deref() == Some("replayed"), "{ask}: {} {}", third.status, third.text());
    }
    Ok(())
}

/// The control: the same statuses from the application keep the token, below 500.
fn applications_answers() -> Result<()> {
    let running = start()?;
    for status in [200, 202, 204, 301, 401, 403, 404, 413, 429] {
        let callback = Callback::new();
        let mut answer = Answer::status(status);
        if status == 204 {
            answer.body.clear();
        }
        running.upstream.script(&callback.id, [answer]);
        let first = running.send(&callback)?;
        ensure!(first.status == status, "{} instead of {status}", first.status);
        let again = running.send(&callback)?;
        ensure!(again.code().as_deref() == Some("replayed"), "{status}: {} {}", again.status, again.text());
    }
    let callback = Callback::new();
    running.upstream.script(&callback.id, [Answer::status(500), Answer::status(200)]);
    running.send(&callback)?;
    running.arrived(&callback, &running.send(&callback)?, 2)
}

fn start() -> Result<Running> {
    let mut envoy = Envoy::new([envoy::filter(&policy(), envoy::Form::Struct, &[])])?;
    envoy.filters[0].extend(later_filters());
    envoy.settings = json!({
        "route_config": { "validate_clusters": false, "virtual_hosts": [{
            "name": "all", "domains": ["*"], "require_tls": "NONE", "routes": routes(),
        }] },
        "local_reply_config": { "mappers": [{
            "filter": { "and_filter": { "filters": [
                { "status_code_filter": { "comparison": {
                    "op": "EQ", "value": { "default_value": 503, "runtime_key": "none" },
                } } },
                { "header_filter": { "header": { "name": ASK, "string_match": { "exact": "mapped" } } } },
            ] } },
            "status_code": 202,
        }] },
    });
    let running = envoy.start()?;
    Ok(running)
}

fn asked(value: &str, then: Value) -> Value {
    let headers = json!([{ "name": ASK, "string_match": { "exact": value } }]);
    merged(json!({ "match": { "prefix": "/", "headers": headers } }), &then)
}

/// The name that the harness gives to a listener's only cluster.
const CLUSTER: &str = "listener_0";

fn routes() -> Vec<Value> {
    let on = |filter: &str, config: Value| json!({ "route": { "cluster": CLUSTER }, "typed_per_filter_config": { filter: config } });
    let enable = json!({ "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {} });
    vec![
        asked("no-cluster", json!({ "route": { "cluster": "there-is-no-such-cluster" } })),
        asked("direct", json!({ "direct_response": { "status": 204 } })),
        asked("https", json!({ "redirect": { "https_redirect": true } })),
        asked("second-filter", on("second", enable.clone())),
        asked("buffer", on("buffer", enable.clone())),
        asked("rate-limit", on("rate_limit", enable)),
        json!({
            "match": { "prefix": "/", "headers": [{
                "name": ASK,
                "string_match": { "exact": "no-route" },
                "invert_match": true,
                "treat_missing_header_as_empty": true,
            }] },
            "route": { "cluster": CLUSTER },
        }),
    ]
}

fn later_filters() -> Vec<Value> {
    let mut second = merged(policy(), &json!({ "name": "second" }));
    second["accounts"][0]["secrets"] = json!(["text:another secret, which signed nothing here"]);
    let second = envoy::filter(&second, envoy::Form::Struct, &[]);
    let disabled = |filter: Value| merged(filter, &json!({ "disabled": true }));
    let typed = |name: &str, kind: &str, config: Value| {
        let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
        json!({ "name": name, "typed_config": merged(config, &json!({ "@type": kind })) })
    };
    let denied = json!({ "header": { "name": ASK, "string_match": { "exact": "rbac" } } });
    let limit = typed(
        "rate_limit",
        "local_ratelimit.v3.LocalRateLimit",
        json!({
            "stat_prefix": "limit",
            "token_bucket": { "max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s" },
            "filter_enabled": { "default_value": { "numerator": 100 } },
            "filter_enforced": { "default_value": { "numerator": 100 } },
            "descriptors": [],
        }),
    );
    let buffer = typed("buffer", "buffer.v3.Buffer", json!({ "max_request_bytes": 10 }));
    vec![
        typed(
            "rbac",
            "rbac.v3.RBAC",
            json!({ "rules": { "action": "DENY", "policies": { "p": { "permissions": [denied], "principals": [{ "any": true }] } } } }),
        ),
        disabled(limit),
        disabled(buffer),
        merged(disabled(second), &json!({ "name": "second" })),
    ]
}
