//! What must hold of a reply, and of a request that was forwarded.
use anyhow::{Result, ensure};
use secure_callbacks_harness::send::Reply;
use secure_callbacks_harness::upstream::Received;
use secure_callbacks_support::{Expectation, Rendered};

/// The reply's headers and body are as the row says.
pub(crate) fn check_reply(reply: &Reply, expect: &Expectation) -> Result<()> {
    for (name, value) in &expect.reply_headers {
        let got = reply.headers.text(name);
        ensure!(&got == value, "reply header {name}: {got:?} instead of {value:?}");
    }
    if let Some(body) = &expect.reply_body {
        ensure!(&reply.text() == body, "reply body {:?} instead of {body:?}", reply.text());
    }
    Ok(())
}

/// The request arrived as it was sent, with its token, and with the identity headers that are due and no others.
pub(crate) fn check_forwarded(received: &Received, rendered: &Rendered, expect: &Expectation) -> Result<()> {
    ensure!(received.method == rendered.method, "method {}", received.method);
    ensure!(received.path == rendered.path, "path {}", received.path);
    let sent = rendered.body();
    ensure!(received.body == sent, "the body arrived as {} bytes instead of {}", received.body.len(), sent.len());
    for (name, value) in &expect.upstream_headers {
        let copies: Vec<_> = received.headers.all(name).collect();
        let wanted = value.as_deref().unwrap_or("").as_bytes();
        // Emptied counts as absent, but no copy may hold anything else.
        let others = copies.iter().filter(|copy| !copy.is_empty() && **copy != wanted).count();
        let good = others == 0 && (wanted.is_empty() || copies.iter().filter(|copy| **copy == wanted).count() == 1);
        ensure!(good, "upstream header {name}: {copies:?} instead of {value:?}");
        if name.starts_with("x-callback-") || name == "x-ssl-client-subject-dn" {
            let trailing = received.trailers.first(name);
            ensure!(trailing.is_none_or(<[u8]>::is_empty), "trailer {name}: {trailing:?}");
        }
    }
    // However a name is spelled: many an application and gateway reads what is no letter or digit as one and the same.
    for (name, value) in received.headers.0.iter().chain(&received.trailers.0).filter(|(_, value)| !value.is_empty()) {
        let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let ours = folded.starts_with("x-callback-") || folded == "x-ssl-client-subject-dn";
        ensure!(!ours || folded == *name, "{name}: {:?} passed", String::from_utf8_lossy(value));
    }
    for (name, value) in rendered.headers.iter().filter(|(_, value)| holds_token(value, rendered)) {
        let name = String::from_utf8_lossy(name);
        ensure!(received.headers.all(&name).any(|copy| copy == value), "the header {name} with the token is gone");
    }
    Ok(())
}

fn holds_token(value: &[u8], rendered: &Rendered) -> bool {
    let value = String::from_utf8_lossy(value);
    rendered.token.as_ref().is_some_and(|token| !token.is_empty() && value.contains(token))
}
