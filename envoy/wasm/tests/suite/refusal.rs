//! Refusals that wait for the end of a short request.

use secure_callbacks_envoy::host::Flow;

use super::fake::{FakeEnvoy, Shared, protection};
use super::filter::arrive;

const BODY: &[u8] = b"{\"event\":\"streamCreated\"}";

/// A refused head that announces a body of this length.
fn refused_head(shared: &Shared, length: &str) -> FakeEnvoy {
    FakeEnvoy::new(shared, &[("authorization", "Bearer a.b.c"), ("content-length", length)])
}

#[test]
fn a_refusal_waits_for_a_short_body() {
    let shared = Shared::default();
    let protection = protection("", &shared);
    for trailers in [false, true] {
        let envoy = refused_head(&shared, "25");
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        // The verdict is on record; the answer is still to come.
        assert_eq!((envoy.counted(), envoy.replies()), (vec!["token_malformed"], vec![]));
        assert_eq!(arrive(&envoy, &mut filter, &BODY[..5], false), Flow::Hold);
        assert!(envoy.replies().is_empty());
        if trailers {
            assert_eq!(filter.request_trailers(), Flow::Hold);
        } else {
            assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Hold);
        }
        assert_eq!(envoy.replies(), [401]);
        filter.response_headers();
        drop(filter);
        assert_eq!((envoy.counted(), envoy.replies()), (vec!["token_malformed"], vec![401]));
        assert_eq!(envoy.0.largest_slice.get(), 0, "nobody reads the body of a refused callback");
    }
}

#[test]
fn a_refusal_does_not_wait_for_much_or_for_nothing() {
    let shared = Shared::default();
    let small = protection(r#""max_body_size": 10"#, &shared);
    let usual = protection("", &shared);
    for (protection, length, at_once) in [
        (&usual, "16384", false),
        (&usual, "16385", true),
        (&usual, "none", true),
        (&small, "10", false),
        (&small, "11", true),
    ] {
        let envoy = refused_head(&shared, length);
        assert_eq!(envoy.filter(protection).request_headers(false), Flow::Hold);
        assert_eq!(!envoy.replies().is_empty(), at_once, "{length}");
    }
    let envoy = refused_head(&shared, "25");
    assert_eq!(envoy.filter(&usual).request_headers(true), Flow::Hold);
    assert_eq!(envoy.replies(), [401], "the request has ended with its head");
}

#[test]
fn a_body_beyond_what_was_announced_is_not_waited_for() {
    let shared = Shared::default();
    let protection = protection("", &shared);
    let envoy = refused_head(&shared, "25");
    let mut filter = envoy.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(arrive(&envoy, &mut filter, &[b' '; 16 * 1024], false), Flow::Hold);
    assert!(envoy.replies().is_empty());
    assert_eq!(arrive(&envoy, &mut filter, &[b' '; 16 * 1024 + 1], false), Flow::Hold);
    assert_eq!(envoy.replies(), [401]);
    drop(filter);
    assert_eq!((envoy.counted(), envoy.replies()), (vec!["token_malformed"], vec![401]));
}
