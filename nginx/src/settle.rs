//! The end of a reservation: the upstream's answer keeps it or releases it.
//!
//! A location may ask no upstream: then nginx's own answer counts. An error means that the callback came nowhere
//! (`auth_request` forbade it, say); anything else, a file for one, that it arrived.
//!
//! It is settled as soon as an answer's head passes, so that what the upstream took stays remembered even if the worker
//! dies while the body is sent. A request that ends without an answer releases it.
#![forbid(unsafe_code)]

use secure_callbacks::{AnsweredBy, Settlement, settlement};

use crate::context::Context;
use crate::host::now;
use crate::host::request::Request;

/// The head of the request's answer is known.
pub(crate) fn answered(request: Request<'_>) {
    for context in Context::all(request) {
        if let Some(reservation) = context.reservation.take() {
            let (status, by) = match request.upstream_status() {
                // An `error_page` may have put another answer in the place of the upstream's, which is what counts.
                Some(status) => (status, AnsweredBy::Application),
                None => (request.answer_status(), AnsweredBy::ContentHandler),
            };
            match settlement(status, || by) {
                Settlement::Keep => context.policy().keep(&reservation, now()),
                Settlement::Release => context.policy().release(&reservation, now()),
                Settlement::Wait => context.reservation.set(Some(reservation)),
            }
        }
    }
}

/// The request is over without an answer.
pub(crate) fn unanswered(context: &Context) {
    if let Some(reservation) = context.reservation.take() {
        context.policy().release(&reservation, now());
    }
}
