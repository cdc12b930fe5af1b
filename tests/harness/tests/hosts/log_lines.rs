//! The line that a refusal leaves in the proxy's log says what decided it, and nothing of the query.
use crate::common::Stage;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::now;
use secure_callbacks_harness::running::Running;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_support::Token;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    stage.test("a_refusal_s_line_says_what_decided_it", tests, what_decided);
}

/// A code, the details that may be told, and the change to a good token that leads there.
type Row = (&'static str, &'static [&'static str], fn(Token) -> Token);

fn what_decided(running: &Running) -> Result<()> {
    let changes: [Row; 8] = [
        ("claim_missing", &["jti"], |token| token.without("jti")),
        ("claim_malformed", &["exp"], |token| token.claim("exp", "soon")),
        ("claim_malformed", &["payload_hash"], |token| token.claim("payload_hash", "none")),
        ("issuer_mismatch", &["iss"], |token| token.claim("iss", "another-issuer")),
        ("account_unknown", &["api_key"], |token| token.claim("api_key", "another-account")),
        // A second may pass on the way.
        ("token_expired", &["500 claim=iat", "501 claim=iat"], |token| token.claim("iat", now() - 500)),
        ("token_expired", &["60 claim=exp", "61 claim=exp"], |token| {
            token.claim("iat", now() - 60).claim("exp", json!(now() - 31))
        }),
        ("token_not_yet_valid", &["-500 claim=iat", "-499 claim=iat"], |token| token.claim("iat", now() + 500)),
    ];
    for (code, details, change) in changes {
        let mut callback = Callback::new();
        let token = change(callback.token.clone()).sign();
        for (name, value) in &mut callback.message.headers {
            if name.eq_ignore_ascii_case(b"authorization") {
                *value = format!("Bearer {token}").into_bytes();
            }
        }
        let path = callback.message.path.clone();
        callback.message.path += "?secret=in-the-query";
        running.send(&callback)?;
        let line = line(running, &callback.id)?;
        let told = details.iter().any(|detail| line.contains(&format!(" detail={detail} path={path}")));
        ensure!(told && line.contains(&format!(" code={code} api_key=")), "{code}, {details:?}: {line}");
        // Behind our own fields nginx writes the request's line out, as it does for whatever it logs.
        let ours = line.split(", client: ").next().unwrap_or_default();
        for secret in ["in-the-query", "another-issuer", "another-account"] {
            ensure!(!ours.contains(secret), "{secret} is in: {line}");
        }
    }
    Ok(())
}

/// The line about the callback with this id, which is in its path.
fn line(running: &Running, id: &str) -> Result<String> {
    for _ in 0..100 {
        let log = running.proxy.log();
        if let Some(line) = log.lines().find(|line| line.contains("callback refused") && line.contains(id)) {
            return Ok(line.to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None.with_context(|| format!("no line about {id}"))
}
