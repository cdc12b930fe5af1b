//! The table of source addresses; all plaintext, for the address has nothing to do with TLS.
use crate::rows::{Due, On, Row};
use secure_callbacks_harness::people::Who;

const FORWARDED: &str = "X-Forwarded-For";
/// An address of Vonage's.
const VONAGE: &str = "216.147.1.2";

/// Every row.
pub(crate) fn rows() -> Vec<Row> {
    let inside = |name, door| Row::new(name, door, Who::Nobody, Due::Accepted(None));
    let outside = |name, door| Row::refused(name, door, Who::Nobody, "source_not_allowed");
    vec![
        inside("v4_inside", "v4"),
        outside("v4_outside", "v4").from([127, 0, 0, 2]),
        inside("v4_single_address", "v4-single"),
        outside("v4_beside_the_single_address", "v4-single").from([127, 0, 0, 2]),
        inside("v4_inside_a_mapped_range", "v4-as-mapped"),
        outside("v4_outside_a_mapped_range", "v4-as-mapped").from([127, 0, 0, 2]),
        inside("v6_inside", "v6"),
        outside("v6_outside", "v6-outside"),
        inside("mapped_inside_a_v4_range", "mapped"),
        outside("mapped_outside_a_v4_range", "mapped").from([127, 0, 0, 2]),
        outside("source_before_token", "elsewhere").without_token(),
        outside("forwarded_for_of_the_caller", "elsewhere").header(FORWARDED, VONAGE),
        outside("forwarded_for_and_real_ip_of_the_caller", "elsewhere")
            .header(FORWARDED, VONAGE)
            .header("X-Real-IP", VONAGE),
        Row::refused("plaintext_has_no_certificate", "name-plaintext", Who::Nobody, "client_certificate_missing"),
        // Behind another proxy.
        inside("trusted_proxy_says_inside", "behind-a-proxy").from([127, 0, 0, 2]).header(FORWARDED, VONAGE),
        outside("trusted_proxy_says_outside", "behind-a-proxy").from([127, 0, 0, 2]).header(FORWARDED, "192.0.2.1"),
        outside("trusted_proxy_after_a_spoofed_entry", "behind-a-proxy")
            .from([127, 0, 0, 2])
            .header(FORWARDED, "216.147.1.2, 192.0.2.1"),
        outside("trusted_proxy_says_nothing", "behind-a-proxy").from([127, 0, 0, 2]),
        outside("untrusted_proxy_says_inside", "behind-a-proxy").header(FORWARDED, VONAGE).on(On::Nginx),
        // What the documentation warns of: without `use_remote_address` the caller says where it comes from.
        inside("trap_envoy_believes_the_caller", "trap").header(FORWARDED, VONAGE).on(On::Envoy),
        outside("trap_is_not_nginxs", "trap").header(FORWARDED, VONAGE).on(On::Nginx),
    ]
}
