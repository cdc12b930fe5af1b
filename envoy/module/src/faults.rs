//! Faults on request: a build with the feature `faults`, which only the tests make, panics in the call to Envoy that the
//! header `x-fault` names.
#![forbid(unsafe_code)]

use crate::abi::{Fields, Stream};

/// The header.
const NAME: &[u8] = b"x-fault";

/// Panics, if the request asks for that in this call. The message quotes the request, as that of a true fault may.
#[allow(clippy::panic, reason = "test-only code")]
pub(crate) fn at(call: &str, stream: &Stream) {
    let (mut wanted, mut quoted) = (false, String::new());
    stream.each_field(Fields::RequestHeaders, &mut |name, value| {
        wanted |= name == NAME && value == call.as_bytes();
        quoted.push_str(&String::from_utf8_lossy(value));
    });
    assert!(!wanted, "as asked for by {quoted}");
}
