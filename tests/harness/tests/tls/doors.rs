//! The doors: one listener for each policy and each way a proxy can be told to ask for certificates.
use secure_callbacks_harness::people::{
    ESCAPED_SUBJECT, ESCAPED_SUBJECT_OTHERWISE, EXTENDED_SUBJECT, EXTENDED_SUBJECT_IN_ENVOY, People, SENDER,
    SENDER_SUBJECT, Who,
};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether the proxy asks a client for its certificate, and what it does with a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// It speaks no TLS.
    Plaintext,
    /// TLS without asking.
    Never,
    /// Asks; goes on without one; refuses one that it can't validate.
    Optional,
    /// Asks, and ends the connection (Envoy) or answers 400 (Nginx) without a good one.
    Required,
    /// Asks, and lets any certificate in: Nginx's `optional_no_ca`, Envoy's `ACCEPT_UNTRUSTED`.
    Unchecked,
    /// Demands one, but says nothing of what to validate it against. Nginx refuses to start so; there it is [`Never`].
    ///
    /// [`Never`]: Asks::Never
    RequiredBlindly,
}

/// What the proxy trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The root alone.
    Root,
    /// The intermediate and the root, as Vonage's guide has it.
    Chain,
}

/// Where a door is, and how a client reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `127.0.0.1`.
    V4,
    /// `[::1]`.
    V6,
    /// `[::]` for both families, reached over IPv4: the source is `::ffff:127.0.0.1`.
    Mapped,
}

impl Place {
    /// What the proxy listens on.
    pub(crate) fn listens(self, port: u16) -> SocketAddr {
        match self {
            Self::V4 => (Ipv4Addr::LOCALHOST, port).into(),
            Self::V6 => (Ipv6Addr::LOCALHOST, port).into(),
            Self::Mapped => (Ipv6Addr::UNSPECIFIED, port).into(),
        }
    }

    /// Where the client goes.
    pub(crate) fn reached(self, port: u16) -> SocketAddr {
        let ip = if self == Self::V6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
        (ip, port).into()
    }
}

/// One listener.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) name: &'static str,
    pub(crate) policy: Value,
    pub(crate) asks: Asks,
    pub(crate) trust: Trust,
    pub(crate) place: Place,
    /// More lines for Nginx's server.
    pub(crate) nginx: &'static str,
    /// More settings for Envoy's connection manager.
    pub(crate) envoy: Value,
}

impl Door {
    /// TLS with an optional certificate, under the plain policy with `fields` on top.
    fn tls(name: &'static str, fields: Value) -> Self {
        let policy = secure_callbacks_support::policy(json!({ "name": name, "expose_reason": true }));
        let policy = secure_callbacks_support::merged(policy, &fields);
        let (asks, trust, place) = (Asks::Optional, Trust::Chain, Place::V4);
        Self { name, policy, asks, trust, place, nginx: "", envoy: json!({}) }
    }

    /// Plaintext, for callers from `sources`.
    fn plain(name: &'static str, place: Place, sources: &[&str]) -> Self {
        Self { asks: Asks::Plaintext, place, ..Self::tls(name, json!({ "source_addresses": sources })) }
    }

    fn asks(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }
}

/// Where Envoy's module is not handed the certificates.
pub(crate) const NOT_HANDED_OVER: &str = "name-not-handed-over";

/// All of them.
pub(crate) fn all() -> Vec<Door> {
    let people = People::get();
    let certificate = |entries: Value| json!({ "client_certificate": entries });
    let name = || certificate(json!({ "dns_names": [SENDER] }));
    let (right, twin) = (people.fingerprint(Who::Sender), people.fingerprint(Who::Twin));
    let bare = right.replace(':', "").to_lowercase();
    vec![
        Door::tls("no-demand", json!({})),
        Door {
            envoy: json!({ "common_http_protocol_options": { "headers_with_underscores_action": "REJECT_REQUEST" } }),
            ..Door::tls("no-underscores", json!({}))
        },
        Door::tls("never-asks", json!({})).asks(Asks::Never),
        Door::tls("name", name()),
        Door::tls(NOT_HANDED_OVER, name()),
        Door::tls("name-required", name()).asks(Asks::Required),
        Door::tls("name-unchecked", name()).asks(Asks::Unchecked),
        Door::tls("name-never-asked", name()).asks(Asks::Never),
        Door::tls("name-required-blindly", name()).asks(Asks::RequiredBlindly),
        Door::tls("name-plaintext", name()).asks(Asks::Plaintext),
        Door { trust: Trust::Root, ..Door::tls("name-root-only", name()) },
        Door { nginx: "underscores_in_headers on;", ..Door::tls("name-underscores", name()) },
        Door::tls("report", json!({ "mode": "report", "client_certificate": { "dns_names": [SENDER] } })),
        Door::tls("wildcard", certificate(json!({ "dns_names": ["*.opentok.com"] }))),
        Door::tls("several-names", certificate(json!({ "dns_names": ["elsewhere.example", "*.OPENTOK.com"] }))),
        Door::tls("subject", certificate(json!({ "subjects": ["CN=elsewhere.example", SENDER_SUBJECT] }))),
        Door::tls("subject-unchecked", certificate(json!({ "subjects": [SENDER_SUBJECT] }))).asks(Asks::Unchecked),
        Door::tls("escaped-subject", certificate(json!({ "subjects": [ESCAPED_SUBJECT] }))),
        Door::tls("escaped-subject-otherwise", certificate(json!({ "subjects": [ESCAPED_SUBJECT_OTHERWISE] }))),
        // A multi-valued part has no order.
        Door::tls("joined-subject", certificate(json!({ "subjects": ["O=TokBox+CN=callbacks.opentok.com"] }))),
        Door::tls(
            "extended-subject",
            certificate(json!({ "subjects": [EXTENDED_SUBJECT, EXTENDED_SUBJECT_IN_ENVOY] })),
        ),
        Door::tls("fingerprint", certificate(json!({ "sha256_fingerprints": [right] }))),
        Door::tls("bare-fingerprint", certificate(json!({ "sha256_fingerprints": [twin, bare] }))),
        Door::tls("two-kinds", certificate(json!({ "dns_names": ["*.opentok.com"], "sha256_fingerprints": [right] }))),
        Door::tls("three-kinds", {
            certificate(json!({ "dns_names": [SENDER], "sha256_fingerprints": [right], "subjects": [SENDER_SUBJECT] }))
        }),
        Door::tls("order", {
            json!({ "source_addresses": ["127.0.0.2/32"], "client_certificate": { "dns_names": [SENDER] } })
        }),
        Door::plain("v4", Place::V4, &["216.147.0.0/18", "127.0.0.0/31"]),
        Door::plain("v4-as-mapped", Place::V4, &["::ffff:127.0.0.0/127"]),
        Door::plain("v4-single", Place::V4, &["127.0.0.1"]),
        Door::plain("v6", Place::V6, &["2001:db8::/32", "::1/128"]),
        Door::plain("v6-outside", Place::V6, &["2001:db8::/32", "127.0.0.0/8"]),
        Door::plain("mapped", Place::Mapped, &["127.0.0.0/31"]),
        Door::plain("elsewhere", Place::V4, &["216.147.0.0/18"]),
        Door {
            nginx: "set_real_ip_from 127.0.0.2; real_ip_header X-Forwarded-For;",
            envoy: json!({ "xff_num_trusted_hops": 1 }),
            ..Door::plain("behind-a-proxy", Place::V4, &["216.147.0.0/18"])
        },
        Door { envoy: json!({ "use_remote_address": false }), ..Door::plain("trap", Place::V4, &["216.147.0.0/18"]) },
    ]
}
