//! A proxy in a few lines: the verifier, and the memory that its workers share. It has no socket, and time stands still.

use secure_callbacks::replay::{Census, Layout, Slot, Table};
use secure_callbacks::{
    Answer, AnsweredBy, Callback, Conclusion, Pending, PolicyConfig, Rejection, ReplayStore, RequestHead, Reservation,
    Settled, Step, TokenField, Verdict, Verifier,
};

use crate::Token;

/// When everything here happens: any moment will do, since the core has no clock.
pub const NOW: i64 = 1_800_000_000;

/// One policy at work.
pub struct Site {
    verifier: Verifier,
    slots: Vec<Slot>,
    census: Census,
}

impl Site {
    /// Under a policy in JSON, whose secrets stand in it.
    ///
    /// # Panics
    /// If the core refuses it.
    #[must_use]
    pub fn new(policy: &str) -> Self {
        let policy = PolicyConfig::from_json(policy).and_then(|config| config.resolve(&())).expect("a policy");
        let slots = if policy.replay() { Layout::for_capacity(policy.replay_capacity()).slots() } else { 0 };
        let census = Census::new(policy.replay_memory(), NOW);
        Self { verifier: Verifier::new(policy), slots: vec![Slot::FREE; slots], census }
    }

    /// What checks.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What the head alone tells.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn start(&self, head: &RequestHead<'_>) -> Result<Pending, Rejection> {
        self.verifier.start(head, NOW).map_err(|verdict| match verdict {
            Verdict::Reject(refused) => refused.rejection,
            other => unreachable!("{other:?}"),
        })
    }

    /// Head, pieces of the body and end, as a proxy hands them over, until something else than the next is due.
    pub fn arrive<'b>(
        &self,
        callback: &mut Callback,
        head: &RequestHead<'_>,
        body: impl IntoIterator<Item = &'b [u8]>,
        owner: u32,
    ) -> Step {
        let mut step = callback.head(&self.verifier, head, NOW);
        for piece in body {
            let Step::Hold = step else { return step };
            step = callback.body(&self.verifier, piece);
        }
        let Step::Hold = step else { return step };
        callback.end_of_body(&self.verifier, owner, NOW)
    }

    /// The life of a callback up to the verdict: the application, if it is asked, has not answered yet.
    ///
    /// # Panics
    /// If there is none.
    pub fn conclude<'b>(
        &mut self,
        callback: &mut Callback,
        head: &RequestHead<'_>,
        body: impl IntoIterator<Item = &'b [u8]>,
        owner: u32,
    ) -> Conclusion {
        let step = match self.arrive(callback, head, body, owner) {
            Step::Reserve(reservation) => {
                let answer = self.reserve(&reservation);
                callback.reserved(&self.verifier, answer, NOW).0
            }
            step => step,
        };
        match step {
            Step::Conclude(conclusion) => conclusion,
            step => panic!("{step:?}"),
        }
    }

    /// The application's answer.
    pub fn answered(&mut self, callback: &mut Callback, status: u16) {
        if let Some(settled) = callback.answered(status, || AnsweredBy::Application) {
            self.settle(&settled);
        }
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

/// The value of the header field that carries a token.
#[must_use]
pub fn bearer(token: &Token) -> Vec<u8> {
    format!("Bearer {}", token.sign()).into_bytes()
}

/// A head with this value in the field that carries the token.
#[must_use]
pub fn head(authorization: &[u8], content_length: Option<u64>) -> RequestHead<'_> {
    RequestHead { token: TokenField::Once(authorization), content_length, line: None, connection: &() }
}
