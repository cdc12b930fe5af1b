//! One callback and the verifier that accepts it, for whatever measures the accept path: time (`benches/accept.rs`),
//! instructions (`src/bin/accepts.rs`) and allocations (`tests/allocations.rs`). And callbacks that it refuses
//! ([`refused`]).
// Only measurements link this crate: one whose callback is not accepted has to stop.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod refused;

use std::hint::black_box;

use secure_callbacks::{AnsweredBy, Authentic, Callback as Life, Code, Conclusion, Pending, Rejection, RequestHead};
use secure_callbacks_support::Token;
use secure_callbacks_support::site::bearer;
pub use secure_callbacks_support::site::{NOW, Site};
use secure_callbacks_support::token::{API_KEY, SECRET};

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
        let token = change(Token::valid(&body, NOW).claim("jti", "7f8f6b0e-5a1c-4d0e-8b4e-0123456789ab"));
        Self { authorization: bearer(&token), body }
    }

    /// The whole life of it, up to an upstream that did not take it: so that it can come again.
    ///
    /// # Panics
    /// If it is not accepted.
    pub fn accept(&self, site: &mut Site) {
        let mut life = Life::default();
        let conclusion = self.conclude(site, &mut life);
        headers(&conclusion);
        let settled = life.answered(503, || AnsweredBy::Application).expect("its reservation");
        site.settle(&settled);
    }

    /// The same, up to the verdict.
    ///
    /// # Panics
    /// If it is not accepted.
    #[must_use]
    pub fn conclude(&self, site: &mut Site, life: &mut Life) -> Conclusion {
        let conclusion = site.conclude(life, &self.head(), self.body.chunks(CHUNK), 1);
        assert_eq!(conclusion.code, Code::Accepted);
        conclusion
    }

    /// What the head alone tells.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn start(&self, site: &Site) -> Result<Pending, Rejection> {
        site.start(&self.head())
    }

    fn head(&self) -> RequestHead<'_> {
        secure_callbacks_support::site::head(&self.authorization, u64::try_from(self.body.len()).ok())
    }

    /// The body, chunk by chunk, and its end.
    ///
    /// # Panics
    /// If it is not the one that was signed for.
    #[must_use]
    pub fn end(&self, mut pending: Pending) -> Authentic {
        for chunk in self.body.chunks(CHUNK) {
            pending.body(chunk).expect("no body over the limit");
        }
        pending.end(NOW).expect("the body that was signed for")
    }
}

/// A site with the default policy and one account.
#[must_use]
pub fn site() -> Site {
    Site::new(&format!(r#"{{"accounts":[{{"api_key":"{API_KEY}","secrets":["text:{SECRET}"]}}]}}"#))
}

/// What the application is told.
pub fn headers(conclusion: &Conclusion) {
    for (name, value) in conclusion.identity_headers("").iter() {
        black_box((name, value));
    }
}
