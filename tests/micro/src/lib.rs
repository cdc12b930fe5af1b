//! One callback and the verifier that accepts it, for whatever measures the accept path: time (`benches/accept.rs`),
//! instructions (`src/bin/accepts.rs`) and allocations (`tests/allocations.rs`). And callbacks that it refuses
//! ([`refused`]).
// Only measurements link this crate: one whose callback is not accepted has to stop.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod refused;

use std::hint::black_box;

use secure_callbacks::replay::{Census, Layout, Slot, Table};
use secure_callbacks::{
    Answer, AnsweredBy, Authentic, Callback as Life, Code, Conclusion, Pending, PolicyConfig, Rejection, ReplayStore,
    RequestHead, Reservation, Settled, Step, TokenField, Verdict, Verifier,
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
        let (mut life, conclusion) = self.conclude(callback);
        headers(&conclusion);
        let settled = life.answered(503, || AnsweredBy::Application).expect("its reservation");
        self.settle(&settled);
    }

    /// The same, up to the verdict.
    ///
    /// # Panics
    /// If it is not accepted.
    #[must_use]
    pub fn conclude(&mut self, callback: &Callback) -> (Life, Conclusion) {
        let mut life = Life::default();
        let Step::Hold = life.head(&self.verifier, &head(callback), NOW) else { panic!("a bad head") };
        for chunk in callback.body.chunks(CHUNK) {
            let Step::Hold = life.body(&self.verifier, chunk) else { panic!("a body over the limit") };
        }
        let Step::Reserve(reservation) = life.end_of_body(&self.verifier, 1, NOW) else { panic!("replay is on") };
        let answer = self.reserve(&reservation);
        match life.reserved(&self.verifier, answer, NOW) {
            (Step::Conclude(conclusion), None) if conclusion.code == Code::Accepted => (life, conclusion),
            (step, _) => panic!("not accepted: {step:?}"),
        }
    }

    /// What the head alone tells.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn head(&self, callback: &Callback) -> Result<Pending, Rejection> {
        self.verifier.start(&head(callback), NOW).map_err(|verdict| match verdict {
            Verdict::Reject(refused) => refused.rejection,
            other => unreachable!("{other:?}"),
        })
    }

    /// Asks the table.
    pub fn reserve(&mut self, reservation: &Reservation) -> Answer {
        self.table().reserve(reservation, NOW)
    }

    /// Keeps a reservation, or gives its place back.
    pub fn settle(&mut self, settled: &Settled) {
        self.table().settle(settled, NOW);
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

fn head(callback: &Callback) -> RequestHead<'_> {
    RequestHead {
        token: TokenField::Once(&callback.authorization),
        content_length: u64::try_from(callback.body.len()).ok(),
        connection: &(),
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
