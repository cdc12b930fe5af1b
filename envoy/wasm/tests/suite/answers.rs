//! What an answer means for the callback that was forwarded: whose it is, and whether it is the final one.

use super::fake::{Shared, protection};
use super::filter::request;
use secure_callbacks_envoy::host::Flow;

/// What the application, Envoy or nobody answers; and whether the same token gets through afterwards.
#[test]
fn only_the_applications_own_answer_below_500_keeps_the_reservation() {
    let by_application = |status| Some((status, "via_upstream"));
    for (answer, again) in [
        (by_application(200), Flow::Hold),
        (by_application(204), Flow::Hold),
        (by_application(404), Flow::Hold),
        (by_application(101), Flow::Hold),
        (by_application(500), Flow::Continue),
        (by_application(503), Flow::Continue),
        (by_application(103), Flow::Continue),
        (Some((200, "upstream_reset_before_response_started{connection_termination}")), Flow::Continue),
        (Some((200, "websocket_handshake_unsuccessful")), Flow::Hold),
        (Some((204, "direct_response")), Flow::Continue),
        (Some((401, "")), Flow::Continue),
        (Some((403, "rbac_access_denied_matched_policy[p]")), Flow::Continue),
        (Some((404, "route_not_found")), Flow::Continue),
        (None, Flow::Continue),
    ] {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let first = request(&shared, b"");
        let mut filter = first.filter(&protection);
        assert_eq!(filter.request_headers(true), Flow::Continue);
        let meanwhile = request(&shared, b"");
        assert_eq!(meanwhile.filter(&protection).request_headers(true), Flow::Hold);
        assert_eq!(meanwhile.counted(), ["replayed"]);
        if let Some((status, details)) = answer {
            first.answers(status, details);
            filter.response_headers();
        }
        filter.done();
        drop(filter);
        let second = request(&shared, b"");
        assert_eq!(second.filter(&protection).request_headers(true), again, "{answer:?}");
    }
}

/// An interim answer that came through here would settle nothing.
#[test]
fn the_final_answer_settles_what_an_interim_one_did_not() {
    for (status, again) in [(200, Flow::Hold), (500, Flow::Continue)] {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let first = request(&shared, b"");
        let mut filter = first.filter(&protection);
        assert_eq!(filter.request_headers(true), Flow::Continue);
        for status in [103, status] {
            first.answers(status, "via_upstream");
            filter.response_headers();
        }
        drop(filter);
        assert_eq!(request(&shared, b"").filter(&protection).request_headers(true), again, "{status}");
    }
}

/// To ask who answered is dear, and not asked where the status says enough.
#[test]
fn who_answered_is_asked_of_a_good_answer_alone() {
    for (status, asked) in [(200, 1), (500, 0)] {
        let shared = Shared::default();
        let protection = protection("", &shared);
        let envoy = request(&shared, b"");
        let mut filter = envoy.filter(&protection);
        filter.request_headers(true);
        envoy.answers(status, "via_upstream");
        filter.response_headers();
        filter.response_headers();
        let asked_for = envoy.0.asked.borrow();
        assert_eq!(asked_for.iter().filter(|path| path.starts_with("response")).count(), asked, "{status}");
    }
}
