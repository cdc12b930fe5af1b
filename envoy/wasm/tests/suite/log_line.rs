//! What a refusal's line in the log says of the request, from Envoy's attributes; and that only a refusal asks for them.

use super::fake::{FakeEnvoy, Shared, bearer, logged, protection};

const PATH: &str = "request\0url_path";
const SUBJECT: &str = "connection\0subject_peer_certificate";
const DIGEST: &str = "connection\0sha256_peer_certificate_digest";

/// A request with a good token, to a path that could break the line.
fn request(shared: &Shared) -> FakeEnvoy {
    FakeEnvoy::new(shared, &[("authorization", &bearer(b"", "one"))])
        .on(PATH, b"/callbacks/a b?secret")
        .on(DIGEST, b"00")
}

/// What stands behind the source in the line that a request without a body leaves.
fn rest(more: &str, envoy: &FakeEnvoy) -> String {
    let protection = protection(more, &envoy.0.shared);
    logged();
    envoy.filter(&protection).request_headers(true);
    let lines = logged();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].1.split_once(" source=192.0.2.1:5000").unwrap().1.to_owned()
}

#[test]
fn the_path_the_subject_and_the_age_are_told() {
    let wanted = r#""client_certificate": {"subjects": ["CN=a"]}"#;
    let shown = |subject: &[u8]| request(&Shared::default()).on(SUBJECT, subject);
    assert_eq!(rest(wanted, &shown(b"CN=another one")), " detail=CN=another%20one path=/callbacks/a%20b");
    assert_eq!(rest(wanted, &shown(b"")), " path=/callbacks/a%20b");
    let late = request(&Shared::default());
    late.0.now.set(late.0.now.get() + 400);
    assert_eq!(rest("", &late), " detail=400 claim=iat path=/callbacks/a%20b");
    let other = request(&Shared::default());
    assert_eq!(rest(r#""issuer": "Another""#, &other), " detail=iss path=/callbacks/a%20b");
    let nowhere = FakeEnvoy::new(&Shared::default(), &[]);
    assert_eq!(rest("", &nowhere), "");
}

#[test]
fn what_is_accepted_is_not_asked_for_its_path() {
    let envoy = request(&Shared::default());
    envoy.filter(&protection("", &envoy.0.shared)).request_headers(true);
    assert_eq!(envoy.counted(), ["accepted"]);
    assert!(!envoy.0.asked.borrow().iter().any(|path| path == PATH));
    // The subject is asked for in a mismatch alone.
    let refused = request(&Shared::default());
    refused.filter(&protection(r#""issuer": "Another""#, &refused.0.shared)).request_headers(true);
    assert!(!refused.0.asked.borrow().iter().any(|path| path == SUBJECT));
}
