//! The life of a request, in every order of callbacks that Envoy has.

use log::Level;

use super::fake::{FakeEnvoy, Filter, Shared, bearer, logged, protection};
use secure_callbacks_envoy::host::Flow;

const BODY: &[u8] = b"{\"event\":\"streamCreated\"}";

/// A request with a good token for a body.
pub(super) fn request(shared: &Shared, body: &[u8]) -> FakeEnvoy {
    FakeEnvoy::new(shared, &[(":method", "POST"), ("authorization", &bearer(body, "one"))])
}

/// The body arrives, up to a length; Envoy tells the whole size so far.
pub(super) fn arrive(envoy: &FakeEnvoy, filter: &mut Filter, body: &[u8], end_of_stream: bool) -> Flow {
    *envoy.0.body.borrow_mut() = body.to_vec();
    filter.request_body(body.len(), end_of_stream)
}

#[derive(Clone, Copy)]
enum Step {
    Head(bool),
    Body(&'static [u8], bool),
    Trailers,
}

/// Each row of the table of callbacks: the steps, and the body that they carry.
fn orders() -> Vec<(&'static str, Vec<Step>, &'static [u8])> {
    use Step::{Body, Head, Trailers};
    vec![
        ("no body", vec![Head(true)], b""),
        (
            "pieces",
            vec![
                Head(false),
                Body(b"hello", false),
                Body(b"hello wo", false),
                Body(b"hello worl", false),
                Body(b"hello worl", true),
            ],
            b"hello worl",
        ),
        ("the last piece ends it", vec![Head(false), Body(b"hello", false), Body(b"hello worl", true)], b"hello worl"),
        ("empty and chunked", vec![Head(false), Body(b"", true)], b""),
        ("trailers after pieces", vec![Head(false), Body(b"hello", false), Trailers], b"hello"),
        ("trailers only", vec![Head(false), Trailers], b""),
        ("an empty last piece", vec![Head(false), Body(b"hello", false), Body(b"hello", true)], b"hello"),
    ]
}

/// Goes through the steps; what the last one came to, all others having held the request.
fn go(envoy: &FakeEnvoy, filter: &mut Filter, steps: &[Step]) -> Flow {
    let mut flow = Flow::Hold;
    for step in steps {
        assert_eq!(flow, Flow::Hold, "went on before the end of the body");
        assert!(envoy.counted().is_empty(), "decided before the end of the body");
        flow = match step {
            Step::Head(end) => filter.request_headers(*end),
            Step::Body(body, end) => arrive(envoy, filter, body, *end),
            Step::Trailers => filter.request_trailers(),
        };
    }
    flow
}

#[test]
fn a_good_callback_goes_on_where_its_body_ends() {
    logged();
    for (name, steps, body) in orders() {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let envoy = request(&shared, body);
        let mut filter = envoy.filter(&protection);
        assert_eq!(go(&envoy, &mut filter, &steps), Flow::Continue, "{name}");
        assert_eq!(envoy.counted(), ["accepted"], "{name}");
        assert!(envoy.replies().is_empty(), "{name}");
        assert_eq!(envoy.header("x-callback-verified"), ["accepted"], "{name}");
        assert_eq!(envoy.header("x-callback-jti"), ["one"], "{name}");
        assert_eq!(envoy.state("secure_callbacks_result").as_deref(), Some("accepted"), "{name}");
        assert_eq!(envoy.state("secure_callbacks_jti").as_deref(), Some("one"), "{name}");
        assert_eq!(logged(), [], "{name}");
    }
}

#[test]
fn another_body_is_refused_where_it_ends() {
    for (name, steps, _) in orders() {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let envoy = request(&shared, b"another body");
        let mut filter = envoy.filter(&protection);
        assert_eq!(go(&envoy, &mut filter, &steps), Flow::Hold, "{name}");
        assert_eq!(envoy.counted(), ["payload_hash_mismatch"], "{name}");
        assert_eq!(envoy.replies(), [401], "{name}");
        // What still comes stays held, and nobody is answered twice.
        assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Hold, "{name}");
        assert_eq!(filter.request_trailers(), Flow::Hold, "{name}");
        envoy.answers(401, "via_upstream");
        filter.response_headers();
        filter.done();
        assert_eq!(envoy.replies(), [401], "{name}");
        assert_eq!(envoy.counted().len(), 1, "{name}");
    }
}

#[test]
fn a_refused_head_is_answered_at_once_and_logged() {
    let shared = Shared::default();
    let protection = protection("", &shared);
    let envoy = FakeEnvoy::new(&shared, &[]);
    logged();
    let mut filter = envoy.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(envoy.replies(), [401]);
    assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Hold);
    let log = logged();
    assert_eq!(log.len(), 1);
    let (level, line) = &log[0];
    assert_eq!(*level, Level::Warn);
    assert!(line.contains("code=token_missing") && line.contains("192.0.2.1:5000"), "{line}");
}

#[test]
fn a_token_header_sent_twice_is_refused() {
    let shared = Shared::default();
    let protection = protection(r#""token_header": "x-token""#, &shared);
    let good = bearer(b"", "one");
    for (headers, code) in [
        (vec![("x-token", good.as_str())], "accepted"),
        (vec![("x-token", &good), ("x-token", &good)], "token_malformed"),
        (vec![("x-token", &good), ("other", ""), ("x-token", &good), ("x-token", &good)], "token_malformed"),
        (vec![("authorization", &good)], "token_missing"),
    ] {
        let envoy = FakeEnvoy::new(&shared, &headers);
        envoy.filter(&protection).request_headers(true);
        assert_eq!(envoy.counted(), [code]);
    }
}

#[test]
fn a_body_is_too_large_by_its_announced_or_its_real_size() {
    let shared = Shared::default();
    let protection = protection(r#""max_body_size": 100000"#, &shared);
    let body = vec![b'x'; 100_001];
    let announced = request(&shared, &body);
    announced.0.headers.borrow_mut().push((b"content-length".to_vec(), b"100001".to_vec()));
    assert_eq!(announced.filter(&protection).request_headers(false), Flow::Hold);
    assert_eq!(announced.replies(), [413]);

    let streamed = request(&shared, &body);
    let mut filter = streamed.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(arrive(&streamed, &mut filter, &body[..100_000], false), Flow::Hold);
    assert!(streamed.replies().is_empty());
    assert_eq!(arrive(&streamed, &mut filter, &body, false), Flow::Hold);
    assert_eq!(streamed.replies(), [413]);
    assert!(streamed.0.largest_slice.get() <= 64 * 1024);

    let exact = request(&shared, &body[..100_000]);
    let mut filter = exact.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(arrive(&exact, &mut filter, &body[..100_000], true), Flow::Continue);
}

/// By the time its body ends, what was remembered of the callback has expired; and so has the token.
#[test]
fn a_body_that_is_held_back_does_not_outlive_the_memory() {
    let shared = Shared::default();
    let protection = protection("", &shared);
    let first = request(&shared, BODY);
    let mut filter = first.filter(&protection);
    filter.request_headers(false);
    assert_eq!(arrive(&first, &mut filter, BODY, true), Flow::Continue);
    first.answers(200, "via_upstream");
    filter.response_headers();
    for (held_until, code) in [(300, "replayed"), (301, "token_expired"), (331, "token_expired")] {
        let again = request(&shared, BODY);
        let mut filter = again.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        again.0.now.set(super::fake::NOW + held_until);
        assert_eq!(arrive(&again, &mut filter, BODY, true), Flow::Hold);
        assert_eq!(again.counted(), [code]);
    }
}

#[test]
fn identity_fields_from_outside_never_pass() {
    let shared = Shared::default();
    let forged = [
        "x-callback-verified",
        "x-callback-verified",
        "x-callback-application-id",
        "x-callback-jti",
        "x_callback_jti",
        "X-Callback-Iat",
        "x-ssl-client-subject-dn",
        "x-ssl-client-subject-dn",
        "x-ssl-client-subject_dn",
    ];
    for more in ["", r#""mode": "report""#] {
        for body in [BODY, b"another"] {
            let protection = protection(more, &shared);
            let envoy = request(&shared, body);
            *envoy.0.headers.borrow_mut() = {
                let token = bearer(body, &format!("{}-{}", more.len(), body.len()));
                let outside = forged.iter().map(|name| (name.as_bytes().to_vec(), b"forged".to_vec()));
                outside.chain([(b"authorization".to_vec(), token.into_bytes())]).collect()
            };
            *envoy.0.trailers.borrow_mut() =
                forged.iter().chain(&["x-other"]).map(|name| (name.as_bytes().to_vec(), b"trailer".to_vec())).collect();
            let mut filter = envoy.filter(&protection);
            assert_eq!(filter.request_headers(false), Flow::Hold);
            arrive(&envoy, &mut filter, BODY, false);
            if filter.request_trailers() == Flow::Continue {
                assert!(envoy.0.headers.borrow().iter().all(|(_, value)| value != b"forged"), "{more}");
                assert_eq!(envoy.0.trailers.borrow().len(), 1, "{more}");
            } else {
                assert_eq!((more, envoy.replies().as_slice()), ("", [401].as_slice()));
            }
        }
    }
}

#[test]
fn report_mode_forwards_as_soon_as_the_verdict_is_clear() {
    let shared = Shared::default();
    let protection = protection(r#""mode": "report", "max_body_size": 10"#, &shared);
    let envoy = FakeEnvoy::new(&shared, &[("x-callback-verified", "accepted")]);
    *envoy.0.trailers.borrow_mut() = vec![(b"x-callback-verified".to_vec(), b"accepted".to_vec())];
    let mut filter = envoy.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Continue);
    assert_eq!(envoy.header("x-callback-verified"), ["token_missing"]);
    assert_eq!(arrive(&envoy, &mut filter, BODY, false), Flow::Continue);
    assert_eq!(filter.request_trailers(), Flow::Continue);
    assert!(envoy.0.trailers.borrow().is_empty());
    assert_eq!((envoy.replies(), envoy.counted()), (vec![], vec!["token_missing"]));

    let large = request(&shared, BODY);
    let mut filter = large.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(arrive(&large, &mut filter, &BODY[..8], false), Flow::Hold);
    assert_eq!(arrive(&large, &mut filter, BODY, false), Flow::Continue);
    assert_eq!(large.header("x-callback-verified"), ["body_too_large"]);
    assert_eq!(arrive(&large, &mut filter, BODY, true), Flow::Continue);
    assert_eq!(large.counted(), ["body_too_large"]);
}

/// An upgrade has no end to wait for, and neither has a tunnel.
#[test]
fn what_has_no_end_is_judged_at_its_head() {
    for (name, value) in [("upgrade", "websocket"), (":method", "CONNECT")] {
        for (body, more, flow, code) in [
            (b"".as_slice(), ("x-other", ""), Flow::Continue, "accepted"),
            (b"", ("content-length", "0"), Flow::Continue, "accepted"),
            // A body that is announced can't be checked: what comes has no end.
            (b"", ("content-length", "25"), Flow::Hold, "payload_hash_mismatch"),
            (b"", ("transfer-encoding", "chunked"), Flow::Hold, "payload_hash_mismatch"),
            (BODY, ("content-length", "25"), Flow::Hold, "payload_hash_mismatch"),
            (BODY, ("x-other", ""), Flow::Hold, "payload_hash_mismatch"),
        ] {
            let shared = Shared::default();
            let protection = protection("", &shared);
            let token = bearer(body, "one");
            let envoy = FakeEnvoy::new(&shared, &[more, (name, value), ("authorization", token.as_str())]);
            let mut filter = envoy.filter(&protection);
            assert_eq!(filter.request_headers(false), flow, "{name} {more:?}");
            assert_eq!(envoy.counted(), [code], "{name} {more:?}");
            assert_eq!(envoy.replies().len(), usize::from(flow == Flow::Hold), "{name}: answered at once");
            // What comes then goes the same way.
            assert_eq!(arrive(&envoy, &mut filter, BODY, false), flow, "{name}");
            assert_eq!(envoy.0.largest_slice.get(), 0, "nobody reads it");
        }
    }
}

#[test]
fn a_stream_that_just_goes_away_releases() {
    let shared = Shared::default();
    let protection = protection("", &shared);
    assert_eq!(request(&shared, b"").filter(&protection).request_headers(true), Flow::Continue);
    assert_eq!(request(&shared, b"").filter(&protection).request_headers(true), Flow::Continue);
}

#[test]
fn a_host_that_fails_forwards_nothing() {
    type Failing = fn(&FakeEnvoy);
    let failures: [(&str, Failing, &[u16]); 5] = [
        ("fields", |envoy| envoy.0.fields_fail.set(true), &[503]),
        ("changes", |envoy| envoy.0.changes_fail.set(true), &[503]),
        ("body", |envoy| envoy.0.body_fails.set(true), &[503]),
        ("shared data", |envoy| envoy.0.shared.break_down(true), &[503]),
        (
            "everything",
            |envoy| {
                envoy.0.fields_fail.set(true);
                envoy.0.reply_fails.set(true);
            },
            &[],
        ),
    ];
    for (name, fail, replies) in failures {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let envoy = request(&shared, BODY);
        fail(&envoy);
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold, "{name}");
        assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Hold, "{name}");
        assert_eq!(filter.request_trailers(), Flow::Hold, "{name}");
        assert_eq!(envoy.replies(), replies, "{name}");
        // Nothing was taken: once the host works, the callback gets through.
        shared.break_down(false);
        let later = request(&shared, b"");
        assert_eq!(later.filter(&protection).request_headers(true), Flow::Continue, "{name}");
    }
}

#[test]
fn a_body_that_cannot_be_read_is_refused_whatever_its_hash() {
    let shared = Shared::default();
    let protection = protection(r#""payload_hash": "ignored""#, &shared);
    let envoy = request(&shared, BODY);
    let mut filter = envoy.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    envoy.0.body_fails.set(true);
    assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Hold);
    assert_eq!(envoy.replies(), [503]);
}

#[test]
fn a_body_counts_in_pieces_of_any_size() {
    for piece in [1, 2, 7, BODY.len(), 1000] {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let envoy = request(&shared, BODY);
        envoy.0.piece.set(piece);
        let mut filter = envoy.filter(&protection);
        assert_eq!(filter.request_headers(false), Flow::Hold);
        assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Continue, "{piece}");
        assert_eq!(envoy.counted(), ["accepted"]);
    }
}

#[test]
fn more_of_a_body_than_was_asked_for_is_not_taken_for_it() {
    // Not even where all of it would be too large, or the body is not looked at.
    for more in ["", r#""payload_hash": "ignored""#] {
        for limit in [String::new(), format!(r#""max_body_size": {}"#, BODY.len())] {
            let fields: Vec<_> = [more, &limit].into_iter().filter(|field| !field.is_empty()).collect();
            let shared = Shared::default();
            let protection = protection(&fields.join(","), &shared);
            let envoy = request(&shared, BODY);
            let mut filter = envoy.filter(&protection);
            assert_eq!(filter.request_headers(false), Flow::Hold);
            *envoy.0.body.borrow_mut() = [BODY, b" "].concat();
            envoy.0.body_surplus.set(1);
            assert_eq!(filter.request_body(BODY.len(), true), Flow::Hold, "{fields:?}");
            assert_eq!((envoy.replies(), envoy.counted()), (vec![503], vec!["proxy_failed"]), "{fields:?}");
        }
    }
}

#[test]
fn a_body_that_shrinks_or_changes_while_it_is_held_is_not_the_one_that_was_signed() {
    let shared = Shared::default();
    let protection = protection("", &shared);
    let envoy = request(&shared, BODY);
    let mut filter = envoy.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(arrive(&envoy, &mut filter, BODY, false), Flow::Hold);
    assert_eq!(filter.request_body(5, true), Flow::Hold);
    assert_eq!(envoy.replies(), [503]);
    // Another filter has changed it before its end.
    let envoy = request(&shared, BODY);
    let mut filter = envoy.filter(&protection);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    assert_eq!(arrive(&envoy, &mut filter, BODY, false), Flow::Hold);
    envoy.0.body.borrow_mut().make_ascii_uppercase();
    assert_eq!(filter.request_trailers(), Flow::Hold);
    assert_eq!((envoy.replies(), envoy.counted()), (vec![401], vec!["payload_hash_mismatch"]));
}

#[test]
fn trailers_that_cannot_be_read_stop_the_request() {
    for (more, head) in [
        ("", request as fn(&Shared, &[u8]) -> FakeEnvoy),
        (r#""mode": "report""#, request),
        // The verdict fell at the head, and the request is on its way.
        (r#""mode": "report""#, |shared, _| FakeEnvoy::new(shared, &[])),
        (r#""mode": "report""#, |shared, _| FakeEnvoy::new(shared, &[("content-length", "5")])),
    ] {
        let shared = Shared::default();
        let protection = protection(more, &shared);
        let envoy = head(&shared, b"");
        let mut filter = envoy.filter(&protection);
        filter.request_headers(false);
        envoy.0.fields_fail.set(true);
        assert_eq!(filter.request_trailers(), Flow::Hold);
        assert_eq!(envoy.replies(), [503]);
    }
}

#[test]
fn without_a_policy_nothing_passes() {
    let shared = Shared::default();
    let envoy = request(&shared, b"");
    let mut filter = Filter::new(envoy.clone(), None, 1);
    assert_eq!(filter.request_headers(true), Flow::Hold);
    assert_eq!(filter.request_body(0, true), Flow::Hold);
    assert_eq!(envoy.replies(), [503]);
}

#[test]
fn a_request_in_flight_keeps_the_policy_it_began_with() {
    let shared = Shared::default();
    let old = protection("", &shared);
    let envoy = request(&shared, BODY);
    let mut filter = envoy.filter(&old);
    assert_eq!(filter.request_headers(false), Flow::Hold);
    drop(old);
    let _new = protection(r#""issuer": "Another""#, &shared);
    assert_eq!(arrive(&envoy, &mut filter, BODY, true), Flow::Continue);
}
