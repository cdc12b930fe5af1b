//! The service that `ext_authz` and `auth_request` ask: our own core behind a socket, as fast as it can be. It keeps no
//! memory of callbacks, and where the proxy sends no body it checks the token alone.

use anyhow::{Result, anyhow};
use secure_callbacks::{PolicyConfig, RequestHead, TokenField, Verifier};
use secure_callbacks_harness::clock;
use secure_callbacks_support::token::{API_KEY, APPLICATION_ID, SECRET};
use serde_json::json;
use tokio::net::TcpListener;

use crate::server::{self, Answer, Request};

/// Serves until it is stopped.
pub(crate) fn serve(port: u16, head_only: bool) -> Result<()> {
    let policy = json!({
        "accounts": [{ "api_key": API_KEY, "secrets": [format!("text:{SECRET}")], "applications": [APPLICATION_ID] }],
        "max_body_size": "2MiB",
        "payload_hash": if head_only { "ignored" } else { "required" },
        "replay": false,
    });
    let problem = |problem| anyhow!("the policy: {problem}");
    let policy = PolicyConfig::from_value(policy).map_err(problem)?.resolve(&()).map_err(problem)?;
    let verifier = Verifier::new(policy);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        server::serve(
            listener,
            move |request| {
                if is_authentic(&verifier, request) { Answer::Ok } else { Answer::Unauthorized }
            },
        )
        .await
    })
}

fn is_authentic(verifier: &Verifier, request: &Request<'_>) -> bool {
    let mut token = TokenField::Absent;
    let fields = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("authorization"));
    fields.for_each(|header| token.add(header.value));
    let now = clock::now();
    let head = RequestHead { token, content_length: None, line: None, connection: &() };
    let Ok(mut pending) = verifier.start(&head, now) else { return false };
    pending.body(request.body).is_ok() && pending.end(now).is_ok()
}
