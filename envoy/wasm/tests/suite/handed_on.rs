//! Bodies that Envoy has and does not hand on.

use std::cell::Cell;
use std::rc::Rc;

use secure_callbacks_envoy_wasm::handed_on::HandedOn;

use super::fake::{FakeEnvoy, Shared, bearer, protection};

const BODY: &[u8] = b"{\"event\":\"streamCreated\"}";

#[test]
fn only_a_held_request_whose_body_came_and_was_not_handed_on_is_missed() {
    // What Envoy had besides the head; `None`: it does not tell.
    for (good, handed_on, body, missed) in [
        (true, false, Some(25), true),
        // A client that sends a head and no body.
        (true, false, Some(0), false),
        (true, false, None, false),
        (true, true, Some(25), false),
        // A refusal waits for a short body, and is not there without one.
        (false, false, Some(25), true),
        (false, false, Some(0), false),
    ] {
        let shared = Shared::default();
        let token = if good { bearer(BODY, "one") } else { "Bearer a.b.c".into() };
        let envoy = FakeEnvoy::new(&shared, &[("authorization", &token), ("content-length", "25")]);
        let head = u64::try_from("authorization".len() + token.len() + "content-length25".len()).unwrap();
        let mut filter = envoy.filter(&protection("", &shared));
        let said = Rc::new(Cell::new(false));
        let mut handing_on = HandedOn::new(&said);
        filter.request_headers(false);
        if handed_on {
            handing_on.more();
        }
        let received = || body.map(|body| head + body);
        let ask = || handing_on.is_missed(filter.awaits_more(), &envoy, received);
        assert_eq!(ask(), missed, "{good} {handed_on} {body:?}");
        // Once for all requests of a configuration.
        assert!(!ask() && said.get() == missed);
    }
}

#[test]
fn a_request_that_is_answered_waits_for_nothing() {
    let shared = Shared::default();
    for headers in [vec![("authorization", "Bearer a.b.c")], vec![]] {
        let envoy = FakeEnvoy::new(&shared, &headers);
        let mut filter = envoy.filter(&protection("", &shared));
        filter.request_headers(false);
        assert_eq!(envoy.replies(), [401]);
        assert!(!filter.awaits_more());
    }
    let envoy = FakeEnvoy::new(&shared, &[("authorization", &bearer(b"", "one"))]);
    let mut filter = envoy.filter(&protection("", &shared));
    filter.request_headers(true);
    assert!(!filter.awaits_more(), "it went on");
}
