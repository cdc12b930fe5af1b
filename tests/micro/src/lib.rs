//! One callback and the verifier that accepts it, for whatever measures the accept path: time (`benches/accept.rs`),
//! instructions (`src/bin/accepts.rs`) and allocations (`tests/allocations.rs`). And callbacks that it refuses
//! ([`refused`]).
// Only measurements link this crate: one whose callback is not accepted has to stop.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod refused;

use std::hint::black_box;

use secure_callbacks::replay::{Census, Layout, Slot, Table};
use secure_callbacks::{
    Answer, Authentic, Clearance, Conclusion, Outcome, Pending, PolicyConfig, Rejection, ReplayStore, RequestHead,
    Reservation, TokenField, Verifier,
};
use secure_callbacks_support::Token;
use secure_callbacks_support::token::{API_KEY, SECRET};

/// The time of every measurement: the core has no clock of its own.
pub const NOW: i64 = 1_800_000_000;

/// The size of a short callback of Vonage's, in bytes.
pub const SHORT_BODY: usize = 228;

/// What Envoy hands over at a time.
const CHUNK: usize = 64 * 1024;

/// A callback as the proxy got it.
pub struct Callback {
    authorization: Vec<u8>,
    body: Vec<u8>,
}

impl Callback {
    /// A good one, the same at each call, with a body of this size.
    #[must_use]
    pub fn good(body: usize) -> Self {
        Self::made(body, |token| token)
    }

    /// One whose token was changed before it was signed.
    #[must_use]
    pub fn made(body: usize, change: impl FnOnce(Token) -> Token) -> Self {
        let body = vec![b'x'; body];
        let token = change(Token::valid(&body, NOW).claim("jti", "7f8f6b0e-5a1c-4d0e-8b4e-0123456789ab")).sign();
        Self { authorization: format!("Bearer {token}").into_bytes(), body }
    }
}

/// A proxy in a few lines: a verifier, and the memory that its workers share.
pub struct Site {
    verifier: Verifier,
    slots: Vec<Slot>,
    census: Census,
}

impl Site {
    /// With the default policy and one account.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&format!(r#"{{"accounts":[{{"api_key":"{API_KEY}","secrets":["text:{SECRET}"]}}]}}"#))
    }

    /// With this policy.
    ///
    /// # Panics
    /// If the core refuses it.
    #[must_use]
    pub fn with(policy: &str) -> Self {
        let policy = PolicyConfig::from_json(policy).and_then(|config| config.resolve(&())).expect("a policy");
        let slots = vec![Slot::FREE; Layout::for_capacity(policy.replay_capacity()).slots()];
        let census = Census::new(policy.replay_memory(), NOW);
        Self { verifier: Verifier::new(policy), slots, census }
    }

    /// The whole life of one callback, up to an upstream that did not take it: so that it can come again.
    ///
    /// # Panics
    /// If it is not accepted.
    pub fn accept(&mut self, callback: &Callback) {
        let authentic = body(self.head(callback).expect("a good head"), callback);
        let reservation = authentic.reservation(1, NOW).expect("replay is on");
        let answer = self.reserve(&reservation);
        let conclusion = self.verifier.conclude(authentic.settle(Some((reservation, answer))));
        headers(&conclusion);
        self.release(&clearance(conclusion).into_reservation().expect("replay is on"));
    }

    /// What the head alone tells.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn head(&self, callback: &Callback) -> Result<Pending, Rejection> {
        let head = RequestHead {
            token: TokenField::Once(&callback.authorization),
            content_length: u64::try_from(callback.body.len()).ok(),
            connection: &(),
        };
        self.verifier.start(&head, NOW).map_err(|refused| refused.rejection)
    }

    /// Asks the table.
    pub fn reserve(&mut self, reservation: &Reservation) -> Answer {
        self.table().reserve(reservation, NOW)
    }

    /// Gives the place back.
    pub fn release(&mut self, reservation: &Reservation) {
        self.table().release(reservation, NOW);
    }

    /// What follows for a callback that nobody has seen.
    ///
    /// # Panics
    /// If the policy asks for no reservation.
    #[must_use]
    pub fn conclude(&self, authentic: Authentic) -> Conclusion {
        let reservation = authentic.reservation(1, NOW).expect("replay is on");
        self.verifier.conclude(authentic.settle(Some((reservation, Answer::Fresh))))
    }

    fn table(&mut self) -> Table<'_> {
        Table::new(self.verifier.policy().replay_capacity(), &mut self.slots, &mut self.census)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// The body, chunk by chunk, and its end.
///
/// # Panics
/// If it is not the one that was signed for.
#[must_use]
pub fn body(mut pending: Pending, callback: &Callback) -> Authentic {
    for chunk in callback.body.chunks(CHUNK) {
        pending.body(chunk).expect("no body over the limit");
    }
    pending.end(NOW).expect("the body that was signed for")
}

/// What the application is told.
pub fn headers(conclusion: &Conclusion) {
    for (name, value) in conclusion.identity_headers("").iter() {
        black_box((name, value));
    }
}

fn clearance(conclusion: Conclusion) -> Clearance {
    match conclusion.outcome {
        Outcome::Forward(clearance) => clearance,
        Outcome::Reply(_) => panic!("refused: {}", conclusion.code),
    }
}
