//! What a policy asks of the connection: the source address and the client certificate, as Envoy's properties tell them.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};
use secure_callbacks_envoy::host::Flow;

use super::fake::{FakeEnvoy, Shared, bearer, protection};

const SUBJECT: &str = "connection\0subject_peer_certificate";
const CERTIFICATE: &str = "connection\0peer_certificate";
const DIGEST: &str = "connection\0sha256_peer_certificate_digest";
const SOURCE: &str = "source\0address";

/// A request with a good token.
fn request(shared: &Shared) -> FakeEnvoy {
    FakeEnvoy::new(shared, &[("authorization", &bearer(b"", "one"))])
}

/// What a policy with these fields, and no replay, comes to.
fn verdict(more: &str, envoy: &FakeEnvoy) -> &'static str {
    let protection = protection(&format!(r#""replay": "off", {more}"#), &Shared::default());
    let flow = envoy.filter(&protection).request_headers(true);
    let code = envoy.counted()[0];
    assert_eq!(flow == Flow::Continue, code == "accepted");
    code
}

#[test]
fn the_source_is_read_in_both_families() {
    let networks = r#""source_addresses": ["216.147.0.0/18", "2001:db8::/32"]"#;
    for (address, code) in [
        ("216.147.1.1:5000", "accepted"),
        ("216.147.64.1:5000", "source_not_allowed"),
        ("[2001:db8::1]:5000", "accepted"),
        ("[2001:db9::1]:5000", "source_not_allowed"),
        ("[::ffff:216.147.1.1]:5000", "accepted"),
        ("[::ffff:216.147.64.1]:5000", "source_not_allowed"),
        // A Unix socket's, or none: it is in no network.
        ("/run/callbacks.sock", "source_not_allowed"),
        ("216.147.1.1", "source_not_allowed"),
        ("", "source_not_allowed"),
    ] {
        let envoy = request(&Shared::default()).on(SOURCE, address.as_bytes());
        assert_eq!(verdict(networks, &envoy), code, "{address}");
    }
    let nowhere = request(&Shared::default()).on(SOURCE, b"\xff:80");
    assert_eq!(verdict(networks, &nowhere), "source_not_allowed");
}

#[test]
fn a_certificate_is_there_if_envoy_says_so() {
    let rule = r#""client_certificate": {"subjects": ["CN=callbacks.opentok.com,O=TokBox"]}"#;
    let shown = b"CN=callbacks.opentok.com,O=TokBox";
    let request = || request(&Shared::default());
    assert_eq!(verdict(rule, &request()), "client_certificate_missing");
    assert_eq!(verdict(rule, &request().on(DIGEST, b"").on(SUBJECT, shown)), "client_certificate_missing");
    assert_eq!(verdict(rule, &request().on(SUBJECT, shown)), "client_certificate_missing");
    assert_eq!(verdict(rule, &request().on(DIGEST, b"00").on(SUBJECT, shown)), "accepted");
    for other in [&b"CN=another"[..], b"", b"\xff"] {
        let envoy = request().on(DIGEST, b"00").on(SUBJECT, other);
        assert_eq!(verdict(rule, &envoy), "client_certificate_mismatch", "{other:?}");
    }
    assert_eq!(verdict(rule, &request().on(DIGEST, b"00")), "client_certificate_mismatch");
}

#[test]
fn the_fingerprint_is_compared() {
    let digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let rule = format!(r#""client_certificate": {{"sha256_fingerprints": ["{}"]}}"#, digits.to_uppercase());
    for (shown, code) in [
        (digits, "accepted"),
        (&digits.replace("00", "01"), "client_certificate_mismatch"),
        (&digits[2..], "client_certificate_mismatch"),
        ("", "client_certificate_missing"),
        ("odd", "client_certificate_mismatch"),
    ] {
        let envoy = request(&Shared::default()).on(DIGEST, shown.as_bytes());
        assert_eq!(verdict(&rule, &envoy), code, "{shown}");
    }
}

/// A certificate, as Envoy shows it.
fn certificate(names: &[&str], extension: Option<CustomExtension>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "callbacks.opentok.com");
    params.subject_alt_names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params.subject_alt_names.push(SanType::IpAddress([192, 0, 2, 1].into()));
    params.subject_alt_names.push(SanType::URI("spiffe://callbacks".try_into().unwrap()));
    params.custom_extensions.extend(extension);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn every_dns_name_counts() {
    let rule = r#""client_certificate": {"dns_names": ["*.opentok.com"]}"#;
    let show =
        |pem: &str| verdict(rule, &request(&Shared::default()).on(DIGEST, b"00").on(CERTIFICATE, pem.as_bytes()));
    assert_eq!(show(&certificate(&["callbacks.opentok.com"], None)), "accepted");
    assert_eq!(show(&certificate(&["example.com", "callbacks.opentok.com"], None)), "accepted");
    assert_eq!(show(&certificate(&["example.com"], None)), "client_certificate_mismatch");
    // The common name is no DNS name.
    assert_eq!(show(&certificate(&[], None)), "client_certificate_mismatch");
    for odd in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(show(odd), "client_certificate_mismatch", "{odd}");
    }
}

#[test]
fn a_certificate_is_read_once() {
    let rule = r#""replay": "off", "client_certificate": {"dns_names": ["callbacks.opentok.com"]}"#;
    let protection = protection(rule, &Shared::default());
    let send = |digest: &[u8], pem: &str| {
        let envoy = request(&Shared::default()).on(DIGEST, digest).on(CERTIFICATE, pem.as_bytes());
        envoy.filter(&protection).request_headers(true);
        (envoy.counted()[0], envoy.0.asked.borrow().iter().filter(|path| *path == CERTIFICATE).count())
    };
    let (good, other) = (certificate(&["callbacks.opentok.com"], None), certificate(&["example.com"], None));
    assert_eq!(send(b"good", &good), ("accepted", 1));
    assert_eq!(send(b"good", ""), ("accepted", 0));
    assert_eq!(send(b"other", &other), ("client_certificate_mismatch", 1));
    assert_eq!(send(b"other", ""), ("client_certificate_mismatch", 0));
    // What can't be read is not remembered, and of many the ones seen last are.
    assert_eq!(send(b"odd", "odd"), ("client_certificate_mismatch", 1));
    assert_eq!(send(b"odd", &good), ("accepted", 1));
    for number in 0..20 {
        assert_eq!(send(&[number], &other), ("client_certificate_mismatch", 1));
    }
    assert_eq!(send(b"good", &good), ("accepted", 1));
}

/// Once it was found good, one property tells all: which certificate it is.
#[test]
fn a_certificate_that_is_known_costs_one_call() {
    let digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let subject = "CN=callbacks.opentok.com";
    let rule = format!(
        r#""replay": "off", "client_certificate": {{"dns_names": ["callbacks.opentok.com"],
            "subjects": ["{subject}"], "sha256_fingerprints": ["{digits}"]}}"#
    );
    let protection = protection(&rule, &Shared::default());
    let pem = certificate(&["callbacks.opentok.com"], None);
    for asked in [&[DIGEST, SUBJECT, CERTIFICATE][..], &[DIGEST]] {
        let envoy = request(&Shared::default())
            .on(DIGEST, digits.as_bytes())
            .on(SUBJECT, subject.as_bytes())
            .on(CERTIFICATE, pem.as_bytes());
        assert_eq!(envoy.filter(&protection).request_headers(true), Flow::Continue);
        assert_eq!(envoy.header("x-ssl-client-subject-dn"), [subject]);
        assert_eq!(*envoy.0.asked.borrow(), asked);
    }
}

/// What one policy found good says nothing to another.
#[test]
fn a_certificate_is_known_to_its_policy_alone() {
    let subject = "CN=callbacks.opentok.com";
    let shared = Shared::default();
    for (named, code) in [(subject, "accepted"), ("CN=another", "client_certificate_mismatch")] {
        let rule = format!(r#""replay": "off", "client_certificate": {{"subjects": ["{named}"]}}"#);
        let protection = protection(&rule, &shared);
        for _ in 0..2 {
            let envoy = request(&shared).on(DIGEST, b"00").on(SUBJECT, subject.as_bytes());
            envoy.filter(&protection).request_headers(true);
            assert_eq!(envoy.counted()[0], code);
        }
    }
}

/// Envoy has validated it: critical extensions are Envoy's to know, such as the certificate policies of RFC 5280 section
/// 4.2.1.4 or one of a company's own.
#[test]
fn a_certificate_that_envoy_took_is_read_whatever_else_it_holds() {
    let rule = r#""client_certificate": {"dns_names": ["callbacks.opentok.com"]}"#;
    let policies = [0x30, 0x06, 0x30, 0x04, 0x06, 0x02, 0x2a, 0x03];
    for (id, content) in [(&[2, 5, 29, 32][..], &policies[..]), (&[1, 3, 6, 1, 4, 1, 99999, 1], &[5, 0])] {
        let mut extension = CustomExtension::from_oid_content(id, content.to_vec());
        extension.set_criticality(true);
        let pem = certificate(&["callbacks.opentok.com"], Some(extension));
        let envoy = request(&Shared::default()).on(DIGEST, b"00").on(CERTIFICATE, pem.as_bytes());
        assert_eq!(verdict(rule, &envoy), "accepted", "{id:?}");
    }
}

#[test]
fn the_subject_of_a_validated_certificate_is_told_and_nobody_elses() {
    const HEADER: &str = "x-ssl-client-subject-dn";
    let shared = Shared::default();
    for (subject, told) in [
        (Some(&b"CN=W\\C3\\A9bhook,O=Vonage\\, Inc."[..]), Some("CN=W\\C3\\A9bhook,O=Vonage\\, Inc.")),
        (Some(b""), None),
        (Some(b"\xff"), None),
        (None, None),
    ] {
        for more in ["", r#""mode": "report", "issuer": "Another", "#] {
            let mut envoy = request(&shared);
            envoy.0.headers.borrow_mut().push((HEADER.into(), b"CN=forged".to_vec()));
            if let Some(subject) = subject {
                envoy = envoy.on(SUBJECT, subject);
            }
            let protection = protection(&format!(r#"{more}"replay": "off""#), &shared);
            assert_eq!(envoy.filter(&protection).request_headers(true), Flow::Continue);
            assert_eq!(envoy.header(HEADER), told.map(str::to_owned).into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn nothing_is_asked_that_the_policy_does_not_need() {
    let envoy = request(&Shared::default());
    assert_eq!(verdict(r#""max_age": "300s""#, &envoy), "accepted");
    assert_eq!(*envoy.0.asked.borrow(), [SUBJECT]);
}
