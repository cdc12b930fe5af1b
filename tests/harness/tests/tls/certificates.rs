//! The table of certificates.
use crate::doors::NOT_HANDED_OVER;
use crate::rows::{Due, On, Row};
use secure_callbacks_harness::people::{
    ESCAPED_SUBJECT, EXTENDED_SUBJECT, EXTENDED_SUBJECT_IN_ENVOY, JOINED_SUBJECT, SENDER_SUBJECT, Who,
};
use secure_callbacks_support::Framing;

const MISSING: &str = "client_certificate_missing";
const UNVERIFIED: &str = "client_certificate_unverified";
const MISMATCH: &str = "client_certificate_mismatch";
const SUBJECT: &str = "X-SSL-Client-Subject-DN";

/// Every row; each is run with TLS 1.2 and with TLS 1.3.
pub(crate) fn rows() -> Vec<Row> {
    [names(), subjects_and_fingerprints(), unvalidated(), spoofed(), order()].concat()
}

fn names() -> Vec<Row> {
    let named = |subject| Due::Accepted(Some(subject));
    vec![
        Row::accepted("right_name", "name", Who::Sender),
        Row::accepted("right_name_over_http2", "name", Who::Sender).framed(Framing::H2),
        Row::accepted("right_name_chunked", "name", Who::Sender).framed(Framing::ChunkedTrailers),
        Row::accepted("right_name_where_required", "name-required", Who::Sender),
        Row::new("name_is_the_second_of_two", "name", Who::SecondName, named("CN=first.example")),
        Row::new("name_in_capitals", "name", Who::Capitals, named("CN=CALLBACKS.OpenTok.com")),
        Row::refused("no_certificate", "name", Who::Nobody, MISSING),
        Row::refused("no_certificate_over_http2", "name", Who::Nobody, MISSING).framed(Framing::H2),
        Row::refused("wrong_name", "name", Who::OtherName, MISMATCH),
        Row::refused("wrong_name_where_required", "name-required", Who::OtherName, MISMATCH),
        Row::refused("wrong_name_over_http2", "name", Who::OtherName, MISMATCH).framed(Framing::H2),
        Row::refused("name_beside_the_right_one", "name", Who::Sibling, MISMATCH),
        Row::refused("name_below_the_right_one", "name", Who::TwoLabels, MISMATCH),
        Row::refused("name_as_common_name_only", "name", Who::CommonNameOnly, MISMATCH),
        Row::accepted("wildcard", "wildcard", Who::Sender),
        Row::new("wildcard_another_label", "wildcard", Who::Sibling, named("CN=other.opentok.com")),
        Row::accepted("wildcard_in_capitals_and_second_in_the_list", "several-names", Who::Sender),
        Row::refused("wildcard_two_labels_deep", "wildcard", Who::TwoLabels, MISMATCH),
        Row::refused("wildcard_no_label_at_all", "wildcard", Who::Domain, MISMATCH),
        Row::refused("wildcard_another_domain", "wildcard", Who::OtherName, MISMATCH),
        Row::refused("wildcard_common_name_only", "wildcard", Who::CommonNameOnly, MISMATCH),
        Row::refused("proxy_never_asks", "name-never-asked", Who::Sender, MISSING),
        Row::new("report_right_name", "report", Who::Sender, named(SENDER_SUBJECT)),
        Row::new("report_no_certificate", "report", Who::Nobody, Due::Reported(MISSING, None)),
        Row::new("report_wrong_name", "report", Who::OtherName, Due::Reported(MISMATCH, Some("CN=other.example"))),
    ]
}

fn subjects_and_fingerprints() -> Vec<Row> {
    vec![
        Row::accepted("subject", "subject", Who::Sender),
        Row::accepted("subject_without_dns_names", "subject", Who::CommonNameOnly),
        Row::refused("subject_with_one_part_less", "subject", Who::Sibling, MISMATCH),
        Row::refused("subject_with_more_parts", "subject", Who::Escaped, MISMATCH),
        Row::new("subject_escaped", "escaped-subject", Who::Escaped, Due::Accepted(Some(ESCAPED_SUBJECT))),
        Row::new("subject_spelled_otherwise", "escaped-subject-otherwise", Who::Escaped, {
            Due::Accepted(Some(ESCAPED_SUBJECT))
        }),
        Row::new("subject_multi_valued", "joined-subject", Who::Joined, Due::Accepted(Some(JOINED_SUBJECT))),
        Row::refused("subject_of_two_parts_is_not_one_of_two_values", "joined-subject", Who::Sender, MISMATCH),
        Row::refused("subject_of_two_values_is_not_one_of_two_parts", "subject", Who::Joined, MISMATCH),
        Row::new("subject_extended", "extended-subject", Who::Extended, Due::Accepted(Some(EXTENDED_SUBJECT)))
            .on(On::Nginx),
        Row::new("subject_extended", "extended-subject", Who::Extended, Due::Accepted(Some(EXTENDED_SUBJECT_IN_ENVOY)))
            .on(On::Envoy),
        Row::refused("subject_escaped_another", "escaped-subject", Who::Sender, MISMATCH),
        Row::accepted("fingerprint_with_colons_and_capitals", "fingerprint", Who::Sender),
        Row::accepted("fingerprint_bare_and_second_in_the_list", "bare-fingerprint", Who::Sender),
        Row::refused("fingerprint_of_the_same_names", "fingerprint", Who::Twin, MISMATCH),
        Row::refused("fingerprint_none", "fingerprint", Who::Nobody, MISSING),
        Row::accepted("two_kinds_hold", "two-kinds", Who::Sender),
        Row::refused("two_kinds_the_name_alone", "two-kinds", Who::Twin, MISMATCH),
        Row::refused("two_kinds_neither", "two-kinds", Who::OtherName, MISMATCH),
        Row::accepted("three_kinds_hold", "three-kinds", Who::Sender),
        Row::refused("three_kinds_all_but_the_fingerprint", "three-kinds", Who::Twin, MISMATCH),
        Row::accepted("behind_an_intermediate", "name", Who::Behind),
        Row::accepted("behind_an_intermediate_not_sent", "name", Who::BehindUnsent),
        Row::accepted("root_alone_intermediate_sent", "name-root-only", Who::Behind),
        Row::new("root_alone_intermediate_not_sent", "name-root-only", Who::BehindUnsent, Due::EndedByTls),
    ]
}

/// Certificates that nobody vouches for.
fn unvalidated() -> Vec<Row> {
    let by_tls = |name, door, who| Row::new(name, door, who, Due::EndedByTls);
    vec![
        by_tls("required_none", "name-required", Who::Nobody),
        by_tls("required_another_authority", "name-required", Who::Stranger),
        by_tls("another_authority", "name", Who::Stranger),
        by_tls("another_authority_of_the_same_name", "name", Who::Impostor),
        by_tls("self_signed_look_alike", "name", Who::LookAlike),
        by_tls("expired", "name", Who::Expired),
        // Asking without demanding is no different where the policy says nothing.
        by_tls("no_demand_another_authority", "no-demand", Who::Stranger),
        Row::refused("unchecked_another_authority", "name-unchecked", Who::Stranger, UNVERIFIED).on(On::Nginx),
        // A signature that is wrong is more than Nginx forgives.
        by_tls("unchecked_authority_of_the_same_name", "name-unchecked", Who::Impostor).on(On::Nginx),
        by_tls("unchecked_expired", "name-unchecked", Who::Expired).on(On::Nginx),
        Row::refused("unchecked_look_alike", "name-unchecked", Who::LookAlike, UNVERIFIED).on(On::Nginx),
        Row::refused("unchecked_subject", "subject-unchecked", Who::LookAlike, UNVERIFIED).on(On::Nginx),
        Row::accepted("unchecked_but_validated", "name-unchecked", Who::Sender),
        Row::refused("unchecked_none", "name-unchecked", Who::Nobody, MISSING),
        // Without a validation context Envoy does not ask, whatever it demands.
        Row::refused("required_blindly", "name-required-blindly", Who::Sender, MISSING).on(On::Envoy),
        Row::refused("required_blindly_look_alike", "name-required-blindly", Who::LookAlike, MISSING).on(On::Envoy),
        // The module is not told the names: nobody can tell what the certificate is worth.
        Row::new("names_are_not_handed_over", NOT_HANDED_OVER, Who::Sender, Due::Failed).on(On::EnvoyModule),
        Row::new("other_names_are_not_handed_over", NOT_HANDED_OVER, Who::OtherName, Due::Failed).on(On::EnvoyModule),
        Row::refused("none_to_hand_over", NOT_HANDED_OVER, Who::Nobody, MISSING).on(On::EnvoyModule),
        // What the documentation warns of: Envoy tells nobody that it did not validate the certificate.
        Row::accepted("accept_untrusted_is_out_of_sight", "name-unchecked", Who::LookAlike).on(On::Envoy),
    ]
}

/// What the application is told of the subject, and by whom.
fn spoofed() -> Vec<Row> {
    let nobody = |name, door| Row::new(name, door, Who::Nobody, Due::Accepted(None));
    vec![
        Row::accepted("no_demand_subject_is_told", "no-demand", Who::Sender),
        nobody("no_demand_no_certificate", "no-demand"),
        nobody("never_asked", "never-asks"),
        nobody("spoofed", "no-demand").header(SUBJECT, SENDER_SUBJECT),
        nobody("spoofed_in_lower_case", "no-demand").header("x-ssl-client-subject-dn", SENDER_SUBJECT),
        nobody("spoofed_twice", "no-demand").header(SUBJECT, SENDER_SUBJECT).header(SUBJECT, "CN=other"),
        nobody("spoofed_with_underscores", "no-demand").header("X_SSL_Client_Subject_DN", SENDER_SUBJECT),
        Row::new("spoofed_with_underscores_that_envoy_rejects", "no-underscores", Who::Sender, Due::BadRequest)
            .header("X_SSL_Client_Subject_DN", "CN=other")
            .on(On::Envoy),
        nobody("spoofed_over_http2", "no-demand").header("x-ssl-client-subject-dn", SENDER_SUBJECT).framed(Framing::H2),
        nobody("spoofed_where_never_asked", "never-asks").header(SUBJECT, SENDER_SUBJECT),
        Row::refused("spoofed_does_not_count", "subject", Who::Nobody, MISSING).header(SUBJECT, SENDER_SUBJECT),
        Row::refused("spoofed_beside_a_wrong_one", "subject", Who::OtherName, MISMATCH).header(SUBJECT, SENDER_SUBJECT),
        Row::accepted("spoofed_beside_the_right_one", "name", Who::Sender).header(SUBJECT, "CN=other"),
        Row::accepted("spoofed_twice_beside_the_right_one", "name", Who::Sender)
            .header(SUBJECT, "CN=other")
            .header("x-ssl-client-subject-dn", "CN=another"),
        Row::accepted("spoofed_with_underscores_beside_the_right_one", "name-underscores", Who::Sender)
            .header("X_SSL_Client_Subject_DN", "CN=other")
            .header("X-SSL_Client-Subject_DN", "CN=another"),
        Row::new("spoofed_in_report_mode", "report", Who::Nobody, Due::Reported(MISSING, None))
            .header(SUBJECT, SENDER_SUBJECT),
    ]
}

/// Source, then certificate, then token.
fn order() -> Vec<Row> {
    const INSIDE: [u8; 4] = [127, 0, 0, 2];
    vec![
        Row::refused("order_all_wrong", "order", Who::Nobody, "source_not_allowed").without_token(),
        Row::refused("order_source_wrong", "order", Who::Sender, "source_not_allowed"),
        Row::refused("order_certificate_missing", "order", Who::Nobody, MISSING).without_token().from(INSIDE),
        Row::refused("order_certificate_wrong", "order", Who::OtherName, MISMATCH).without_token().from(INSIDE),
        Row::refused("order_token_missing", "order", Who::Sender, "token_missing").without_token().from(INSIDE),
        Row::accepted("order_all_right", "order", Who::Sender).from(INSIDE),
    ]
}
