//! Names of header fields that Nginx lets through where it is told to, and that an application reads as ours.
use crate::common::{Callback, Test, accepted};
use crate::nginx::start;
use anyhow::{Result, ensure};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::Framing;

pub(crate) fn add(kind: ProxyKind, tests: &mut Vec<Test>) {
    tests.push(("no_spelling_of_an_identity_header_passes".into(), Box::new(move || no_spelling(kind))));
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
    let (running, ports) = start(kind, LENIENT)?;
    for framing in [Framing::Length, Framing::H2] {
        for mark in [".", "_", "~", "!", "+", "'", "|"] {
            let mut callback = Callback::new();
            callback.message = callback.message.framed(framing);
            for name in IDENTITY {
                callback.message = callback.message.header(&name.replace('-', mark), "forged");
                callback.message = callback.message.header(&name.replacen('-', mark, 1), "forged");
            }
            // The control: such names do come through.
            callback.message = callback.message.header(&format!("x{mark}other"), "passes");
            accepted(&running.upstream, &callback, &wait(send::send(ports, &callback.message))?, 1)?;
            let requests = running.upstream.requests(&callback.id);
            let headers = &requests[0].headers;
            ensure!(headers.first(&format!("x{mark}other")) == Some(b"passes"), "x{mark}other is gone");
            let forged = headers.0.iter().find(|(_, value)| value == b"forged");
            ensure!(forged.is_none(), "{forged:?} passed, {framing:?}");
        }
    }
    Ok(())
}
