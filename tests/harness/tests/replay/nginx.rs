//! Answers that nginx makes of the application's, or without it.
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Delivery};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    if !tests.kind.is_nginx() {
        return;
    }
    tests.shared("an_error_page_in_place_of_a_500_lets_the_token_come_again", intercepted);
    tests.shared("an_error_page_in_place_of_a_404_does_not", intercepted_404);
    tests.shared("a_second_application_that_answers_uses_the_token_up", fallback);
    tests.shared("a_second_application_that_fails_too_does_not", failing_fallback);
    tests.shared("a_next_upstream_that_answers_uses_the_token_up", next_upstream);
    tests.shared("a_static_file_uses_the_token_up", static_file);
    tests.shared("an_error_of_nginx_itself_lets_the_token_come_again", own_error);
    tests.shared("an_ignored_client_abort_waits_for_the_answer", ignored_abort);
}

/// Locations beside the plain ones.
const LOCATIONS: &str = "
        location /intercepted/ {
            proxy_pass http://app;
            proxy_intercept_errors on;
            error_page 500 =200 /ok;
            error_page 404 =503 /ok;
        }
        location = /ok { secure_callbacks off; return 200 fine; }
        location /fallback/ {
            proxy_pass http://app;
            proxy_intercept_errors on;
            recursive_error_pages on;
            error_page 500 502 504 = @second;
        }
        location @second { rewrite ^/fallback/(.*)$ /second/$1 break; proxy_pass http://app; }
        location /next/ { proxy_pass http://twice; proxy_next_upstream http_500 non_idempotent; }
        location /static/ { root .; try_files /nginx.conf =404; }
        location /own/ { try_files /nothing =507; }
        location /ignored/ { proxy_pass http://app; proxy_ignore_client_abort on; }
    ";

fn start(kind: ProxyKind) -> Result<Site> {
    Site::start(kind, Plan { nginx: LOCATIONS, ..Plan::of(policy(json!({}))) })
}

/// What the sender is told is nginx's doing; the application failed.
fn intercepted(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/intercepted/");
    site.upstream.script(&callback.id, [Answer::status(500), Answer::status(200)]);
    let reply = site.send(&callback)?;
    ensure!(reply.status == 200 && reply.text() == "fine", "{} {}", reply.status, reply.text());
    site.accepts(&callback, 2)?;
    site.refuses(&callback)
}

fn intercepted_404(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/intercepted/");
    site.upstream.script(&callback.id, [Answer::status(404)]);
    let reply = site.send(&callback)?;
    ensure!(reply.status == 503, "status {}", reply.status);
    site.refuses(&callback)
}

fn fallback(kind: ProxyKind) -> Result<()> {
    for first in [Answer::status(500), Answer::status(200).sent(Delivery::ResetBefore)] {
        let site = start(kind)?;
        let callback = Callback::below("/fallback/");
        site.upstream.script(&callback.id, [first, Answer::status(200)]);
        site.accepts(&callback, 2)?;
        site.refuses(&callback)?;
    }
    Ok(())
}

fn failing_fallback(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/fallback/");
    site.upstream.script(&callback.id, [Answer::status(500), Answer::status(503), Answer::status(200)]);
    let reply = site.send(&callback)?;
    ensure!(reply.status == 503, "status {}", reply.status);
    site.accepts(&callback, 3)?;
    site.refuses(&callback)
}

fn next_upstream(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/next/");
    site.upstream.script(&callback.id, [Answer::status(500), Answer::status(200)]);
    site.accepts(&callback, 2)?;
    site.refuses(&callback)
}

/// Without an application the location's own answer counts.
fn static_file(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/static/").method("GET");
    let reply = site.send(&callback)?;
    ensure!(reply.status == 200 && reply.text().contains("worker_processes"), "status {}", reply.status);
    site.refuses(&callback)
}

fn own_error(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/own/");
    for _ in 0..3 {
        let reply = site.send(&callback)?;
        ensure!(reply.status == 507, "status {}: {}", reply.status, reply.text());
    }
    site.entries_become(0, 0)
}

/// Nginx goes on without the sender, and so the application's answer still comes.
fn ignored_abort(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/ignored/");
    site.upstream.script(&callback.id, [Answer::status(200).after(Duration::from_secs(1))]);
    let connection = site.begin(&callback)?;
    drop(connection);
    std::thread::sleep(Duration::from_millis(300));
    site.is_on_its_way(&callback)?;
    std::thread::sleep(Duration::from_millis(1200));
    site.refuses(&callback)
}
