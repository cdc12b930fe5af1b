//! What an answer means for a callback that was forwarded: whether the application took it.
//!
//! Only the application's own final answer below 500 says so. A proxy answers in its place for many reasons (a later
//! filter, no route, a rate limit, a redirect), with any status; then the application has seen nothing, and the event is
//! lost unless the sender's retry of the same token gets through.

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The application behind the proxy.
    Application,
    /// A content handler inside the proxy that stands in the application's place: a file that is written, a script.
    ContentHandler,
    /// The proxy, for itself.
    Proxy,
}

/// What becomes of the reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The callback was taken: it is remembered.
    Keep,
    /// It was not: the same token may come again.
    Release,
    /// Nothing yet: the answer is an interim one, and the final one follows or does not.
    Wait,
}

/// Settles a callback by the status of an answer. `by` is asked only where it matters, because to find out may cost a
/// host more than all else here.
pub fn settlement(status: u16, by: impl FnOnce() -> AnsweredBy) -> Settlement {
    let taken = match status {
        // The protocol changes, and no other answer follows (RFC 9110 section 15.2.2).
        101 => matches!(by(), AnsweredBy::Application),
        100..=199 => return Settlement::Wait,
        200..=499 => match by() {
            AnsweredBy::Application => true,
            AnsweredBy::ContentHandler => status < 300,
            AnsweredBy::Proxy => false,
        },
        _ => false,
    };
    if taken { Settlement::Keep } else { Settlement::Release }
}

#[cfg(test)]
mod tests {
    use super::AnsweredBy::{Application, ContentHandler, Proxy};
    use super::Settlement::{Keep, Release, Wait};
    use super::settlement;

    #[test]
    fn only_the_applications_own_final_answer_below_500_keeps() {
        for (statuses, application, handler, proxy) in [
            (alloc::vec![0, 99, 500, 503, 599, 999], Release, Release, Release),
            (alloc::vec![100, 102, 103, 199], Wait, Wait, Wait),
            (alloc::vec![101], Keep, Release, Release),
            (alloc::vec![200, 202, 204, 299], Keep, Keep, Release),
            (alloc::vec![301, 304, 400, 401, 404, 413, 429, 499], Keep, Release, Release),
        ] {
            for status in statuses {
                for (by, due) in [(Application, application), (ContentHandler, handler), (Proxy, proxy)] {
                    assert_eq!(settlement(status, || by), due, "{status} by {by:?}");
                }
            }
        }
    }

    #[test]
    fn who_answered_is_not_asked_where_it_changes_nothing() {
        for status in [0, 100, 103, 500, 504] {
            settlement(status, || unreachable!("{status}"));
        }
    }
}
