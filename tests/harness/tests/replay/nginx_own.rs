//! Answers that nginx gives in the application's place: it has seen nothing, so the same token must get through again.
//! And the application's answers without an upstream: a content handler's own 2xx.
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::Answer;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn add(_: &Arc<Stage>, tests: &mut Tests<'_>) {
    if !tests.kind.is_nginx() {
        return;
    }
    tests.shared("nginxs_own_answers_let_the_token_come_again", own_answers);
    tests.shared("nginxs_refusal_lets_the_token_come_to_the_application", then_application);
    tests.shared("a_content_handlers_own_answer_uses_the_token_up", content_handlers);
    tests.shared("an_answer_from_the_cache_lets_the_token_come_again", cached);
    tests.shared("an_upstreams_redirect_inside_nginx_is_its_answer", accelerated);
    tests.shared("a_mirror_changes_nothing", mirrored);
}

const HTTP: &str = "
    limit_req_zone $server_port zone=hour:1m rate=1r/m;
    proxy_cache_path cache keys_zone=cache:1m;
    ";

/// The id in the path is `rewrite`n away where nginx looks for a file.
const LOCATIONS: &str = "
        root .;
        location = /nginx.conf { secure_callbacks off; }
        location = /no { internal; secure_callbacks off; return 403; }
        location = /who { internal; secure_callbacks off; return 401; }
        location @empty { return 204; }
        location @text { return 200 fine; }

        location /directory/ { rewrite ^ /body break; }
        location /static-post/ { rewrite ^ /nginx.conf break; }
        location /forbidden-file/ { rewrite ^ /body/ break; }
        location /tried/ { try_files /nothing =204; }
        location /auth-403/ { auth_request /no; proxy_pass http://app; }
        location /auth-401/ { auth_request /who; proxy_pass http://app; }
        location /page-200/ { auth_request /no; error_page 403 =200 /nginx.conf; proxy_pass http://app; }
        location /page-202/ { auth_request /no; error_page 403 =202 /nginx.conf; proxy_pass http://app; }
        location /page-its-own/ { auth_request /no; error_page 403 = /nginx.conf; proxy_pass http://app; }
        location /page-recursive/ {
            auth_request /no; error_page 403 = /nginx.conf; recursive_error_pages on; proxy_pass http://app;
        }
        location /named-204/ { auth_request /no; error_page 403 =204 @text; proxy_pass http://app; }
        location /named-its-own/ { auth_request /no; error_page 403 = @empty; proxy_pass http://app; }
        location /named-text/ { auth_request /no; error_page 403 = @text; proxy_pass http://app; }
        location /elsewhere/ { auth_request /no; error_page 403 =302 https://example.org/; proxy_pass http://app; }
        location /down/ { proxy_pass http://127.0.0.1:1; error_page 502 =200 /nginx.conf; }
        location /down-204/ { proxy_pass http://127.0.0.1:1; error_page 502 = @empty; }
        location /denied/ { try_files /nothing @denied; }
        location @denied { deny all; proxy_pass http://app; }
        location /limited/ { try_files /nothing @limited; }
        location @limited { limit_req zone=hour; limit_req_status 429; proxy_pass http://app; }
        location /limited-page/ { try_files /nothing @limited-page; }
        location @limited-page { limit_req zone=hour; error_page 503 =200 /nginx.conf; proxy_pass http://app; }

        location /asked/ {
            auth_request /asked-for;
            error_page 403 =200 /nginx.conf;
            proxy_pass http://app;
        }
        location = /asked-for {
            internal; secure_callbacks off;
            if ($http_x_ask) { return 403; }
            return 204;
        }
        location /file/ { rewrite ^ /nginx.conf break; }
        location /index/ { index nginx.conf; rewrite ^ / break; }
        location /pixel/ { empty_gif; }
        location /pixel-for-404/ { try_files /nothing =404; error_page 404 =201 @pixel; recursive_error_pages on; }
        location @pixel { empty_gif; }
        location /missing/ { error_page 404 = @fallback; }
        location @fallback { empty_gif; }
        location /cached/ {
            proxy_cache cache; proxy_cache_methods GET HEAD POST; proxy_cache_key one; proxy_cache_valid 200 1h;
            proxy_pass http://app;
        }
        location = /accel { internal; try_files /nothing =404; }
        location = /accel-403 { internal; deny all; }
        location /mirrored/ { mirror /copy; proxy_pass http://app; }
        location = /copy { internal; secure_callbacks off; return 500; }
    ";

fn start(kind: ProxyKind) -> Result<Site> {
    Site::start(kind, Plan { nginx: LOCATIONS, nginx_http: HTTP, ..Plan::of(policy(json!({}))) })
}

/// The location, and the status that nginx gives by itself.
const OWN: [(&str, u16); 20] = [
    ("/directory/", 301),
    ("/static-post/", 405),
    ("/forbidden-file/", 403),
    ("/tried/", 204),
    ("/auth-403/", 403),
    ("/auth-401/", 401),
    ("/page-200/", 200),
    ("/page-202/", 202),
    ("/page-its-own/", 200),
    ("/page-recursive/", 200),
    ("/named-204/", 204),
    ("/named-its-own/", 204),
    ("/named-text/", 200),
    ("/elsewhere/", 302),
    ("/down/", 200),
    ("/down-204/", 204),
    ("/denied/", 403),
    ("/limited/", 429),
    ("/limited-page/", 200),
    ("/pixel/", 405),
];

fn own_answers(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    // The first one in a minute is within the limit.
    let first = Callback::below("/limited/");
    site.accepts(&first, 1)?;
    for (location, status) in OWN {
        let callback = Callback::below(location);
        for time in ["once", "twice", "three times"] {
            let reply = site.send(&callback)?;
            ensure!(reply.status == status, "{location} {time}: {} {}", reply.status, reply.text());
        }
        ensure!(site.upstream.deliveries(&callback.id) == 0, "{location}: the application was asked");
        site.entries_become(0, 1).with_context(|| format!("after {location}"))?;
    }
    Ok(())
}

fn then_application(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/asked/");
    let asking = callback.clone().header("X-Ask", "yes");
    let reply = site.send(&asking)?;
    ensure!(reply.status == 200 && site.upstream.deliveries(&callback.id) == 0, "{} {}", reply.status, reply.text());
    site.accepts(&callback, 1)?;
    site.refuses(&callback)
}

fn content_handlers(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    // The last one: what another handler makes of a callback that the first did not know.
    for location in ["/file/", "/index/", "/pixel/", "/missing/"] {
        let callback = Callback::below(location).method("GET");
        let reply = site.send(&callback)?;
        ensure!(reply.status == 200, "{location}: {} {}", reply.status, reply.text());
        site.refuses(&callback).with_context(|| format!("after {location}"))?;
    }
    // The same handler behind a status that an error page sets: what it answered itself is unknown.
    let callback = Callback::below("/pixel-for-404/").method("GET");
    for _ in 0..2 {
        let reply = site.send(&callback)?;
        ensure!(reply.status == 201, "{} {}", reply.status, reply.text());
    }
    Ok(())
}

/// The application has not seen the callback.
fn cached(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let first = Callback::below("/cached/");
    site.accepts(&first, 1)?;
    site.refuses(&first)?;
    let second = Callback::below("/cached/");
    let reply = site.send(&second)?;
    ensure!(reply.status == 200 && site.upstream.deliveries(&second.id) == 0, "{} {}", reply.status, reply.text());
    let mut elsewhere = second.clone();
    elsewhere.message.path = elsewhere.message.path.replace("/cached/", "/callbacks/");
    site.accepts(&elsewhere, 1)?;
    site.refuses(&elsewhere)
}

/// `X-Accel-Redirect`: what the application answered counts, whatever nginx makes of it.
fn accelerated(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let redirect = |status: u16, to: &str| Answer {
        headers: vec![("X-Accel-Redirect".into(), to.into())],
        ..Answer::status(status)
    };
    for (to, status) in [("/nginx.conf", 200), ("/accel", 404), ("/accel-403", 403)] {
        let taken = Callback::new();
        site.upstream.script(&taken.id, [redirect(200, to)]);
        let reply = site.send(&taken)?;
        ensure!(reply.status == status, "{to}: {} {}", reply.status, reply.text());
        site.refuses(&taken).with_context(|| format!("after 200 and {to}"))?;
        let failed = Callback::new();
        site.upstream.script(&failed.id, [redirect(500, to), Answer::status(200)]);
        site.send(&failed)?;
        site.accepts(&failed, 2).with_context(|| format!("after 500 and {to}"))?;
    }
    Ok(())
}

fn mirrored(kind: ProxyKind) -> Result<()> {
    let site = start(kind)?;
    let callback = Callback::below("/mirrored/");
    site.upstream.script(&callback.id, [Answer::status(503), Answer::status(200)]);
    let reply = site.send(&callback)?;
    ensure!(reply.status == 503, "{} {}", reply.status, reply.text());
    site.accepts(&callback, 2)?;
    site.refuses(&callback)
}
