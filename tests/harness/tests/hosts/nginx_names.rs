//! Names of header fields that Nginx lets through where it is told to, and that an application reads as ours.
use crate::nginx::start;
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    tests.add("no_spelling_of_an_identity_header_passes", move || no_spelling(kind));
}

/// By default Nginx drops most of these itself.
const LENIENT: &str = "ignore_invalid_headers off; underscores_in_headers on;
    location / { secure_callbacks video; proxy_pass http://app; }";

const IDENTITY: [&str; 6] = [
    "x-callback-verified",
    "x-callback-api-key",
    "x-callback-application-id",
    "x-callback-jti",
    "x-callback-iat",
    "x-ssl-client-subject-dn",
];

fn no_spelling(kind: ProxyKind) -> Result<()> {
    let running = start(kind, LENIENT)?;
    for framing in [Framing::Length, Framing::H2] {
        for mark in [".", "_", "~", "!", "+", "'", "|"] {
            let mut callback = Callback::new().framed(framing);
            for name in IDENTITY {
                callback = callback.header(&name.replace('-', mark), "forged");
                callback = callback.header(&name.replacen('-', mark, 1), "forged");
            }
            // The control: such names do come through.
            callback = callback.header(&format!("x{mark}other"), "passes");
            running.accepts(&callback, 1)?;
            let requests = running.upstream.requests(&callback.id);
            let headers = &requests[0].headers;
            ensure!(headers.first(&format!("x{mark}other")) == Some(b"passes"), "x{mark}other is gone");
            let forged = headers.0.iter().find(|(_, value)| value == b"forged");
            ensure!(forged.is_none(), "{forged:?} passed, {framing:?}");
        }
    }
    Ok(())
}
