//! Policies with one thing wrong in them, in the words of both proxies.
use secure_callbacks_support::merged;
use serde_json::{Value, json};

/// One thing wrong. `json` is merged into a good policy, `nginx` is the lines of a block that would be good but for it.
pub(crate) struct Wrong {
    pub(crate) name: &'static str,
    /// What the message must name.
    pub(crate) named: &'static str,
    pub(crate) json: Value,
    pub(crate) nginx: &'static str,
}

fn wrong(name: &'static str, named: &'static str, json: Value, nginx: &'static str) -> Wrong {
    Wrong { name, named, json, nginx }
}

/// A good account line.
pub(crate) const ACCOUNT: &str = "account a1b2c3d secret=text:the-first-signature-secret-of-a1b2c3d;";

/// Every row. In the nginx lines `@` stands for a good account line.
pub(crate) fn table() -> Vec<Wrong> {
    let account = |more: Value| {
        let account = json!({ "api_key": "a1b2c3d", "secrets": ["text:the-first-signature-secret"] });
        json!({ "accounts": [merged(account, &more)] })
    };
    let secrets = |secrets: &[&str]| account(json!({ "secrets": secrets }));
    vec![
        wrong("an_unknown_field", "max_agee", json!({ "max_agee": "5m" }), "@ max_agee 5m;"),
        wrong("an_unknown_mode", "mode", json!({ "mode": "audit" }), "@ mode audit;"),
        wrong("no_account", "account", json!({ "accounts": null }), "mode enforce;"),
        wrong("an_empty_account_list", "accounts", json!({ "accounts": [] }), ""),
        wrong("an_account_without_secret", "secret", secrets(&[]), "account a1b2c3d;"),
        wrong(
            "an_account_with_an_unknown_word",
            "colour",
            account(json!({ "colour": "red" })),
            "account a1b2c3d secret=text:long-enough colour=red;",
        ),
        wrong(
            "one_account_twice",
            "account",
            json!({ "accounts": [
            { "api_key": "a1b2c3d", "secrets": ["text:the-first-signature-secret"] },
            { "api_key": "a1b2c3d", "secrets": ["text:the-second-signature-secret"] },
        ] }),
            "@ @",
        ),
        wrong("a_short_secret", "secret", secrets(&["text:abc"]), "account a1b2c3d secret=text:abc;"),
        wrong(
            "a_secret_of_no_kind",
            "secret",
            secrets(&["the-first-signature-secret"]),
            "account a1b2c3d secret=the-first-signature-secret;",
        ),
        wrong(
            "an_environment_variable_that_is_not_set",
            "secret",
            secrets(&["env:SECURE_CALLBACKS_NOT_SET"]),
            "account a1b2c3d secret=env:SECURE_CALLBACKS_NOT_SET;",
        ),
        wrong(
            "a_second_secret_that_is_missing",
            "secret",
            secrets(&["text:long-enough", "env:SECURE_CALLBACKS_NOT_SET"]),
            "account a1b2c3d secret=text:long-enough secret=env:SECURE_CALLBACKS_NOT_SET;",
        ),
        wrong("a_max_age_in_words", "max_age", json!({ "max_age": "soon" }), "@ max_age soon;"),
        wrong("a_negative_max_age", "max_age", json!({ "max_age": "-5s" }), "@ max_age -5s;"),
        wrong("a_leeway_of_a_fortnight", "leeway", json!({ "leeway": "1fortnight" }), "@ leeway 1fortnight;"),
        wrong("an_unknown_payload", "payload", json!({ "payload": "both" }), "@ payload both;"),
        wrong(
            "an_unknown_payload_hash",
            "payload_hash",
            json!({ "payload_hash": "sometimes" }),
            "@ payload_hash sometimes;",
        ),
        wrong("a_max_body_size_in_words", "max_body_size", json!({ "max_body_size": "big" }), "@ max_body_size big;"),
        wrong("a_replay_that_is_no_flag", "replay", json!({ "replay": "perhaps" }), "@ replay perhaps;"),
        wrong(
            "a_replay_capacity_in_words",
            "replay_capacity",
            json!({ "replay_capacity": "many" }),
            "@ replay_capacity many;",
        ),
        wrong(
            "a_source_prefix_too_long",
            "source_address",
            json!({ "source_addresses": ["10.0.0.0/33"] }),
            "@ source_address 10.0.0.0/33;",
        ),
        wrong(
            "a_source_that_is_no_address",
            "source_address",
            json!({ "source_addresses": ["callbacks.opentok.com"] }),
            "@ source_address callbacks.opentok.com;",
        ),
        wrong(
            "a_missing_token_status_of_404",
            "missing_token_status",
            json!({ "missing_token_status": 404 }),
            "@ missing_token_status 404;",
        ),
        wrong(
            "an_expose_reason_that_is_no_flag",
            "expose_reason",
            json!({ "expose_reason": "perhaps" }),
            "@ expose_reason perhaps;",
        ),
        wrong(
            "a_client_certificate_that_asks_for_nothing",
            "client_certificate",
            json!({ "client_certificate": {} }),
            "@ client_certificate;",
        ),
        wrong(
            "a_short_fingerprint",
            "client_certificate",
            json!({ "client_certificate": { "sha256_fingerprints": ["abcd"] } }),
            "@ client_certificate sha256_fingerprint=abcd;",
        ),
        wrong(
            "an_unknown_certificate_word",
            "client_certificate",
            json!({ "client_certificate": { "common_name": "x" } }),
            "@ client_certificate common_name=x;",
        ),
        wrong(
            "a_wildcard_in_the_middle",
            "client_certificate",
            json!({ "client_certificate": { "dns_names": ["a.*.example.com"] } }),
            "@ client_certificate dns_name=a.*.example.com;",
        ),
        wrong(
            "a_token_header_with_a_blank",
            "token_header",
            json!({ "token_header": "my token" }),
            "@ token_header \"my token\";",
        ),
    ]
}
