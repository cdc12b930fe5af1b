//! One holder of the store: where its answers wait, and who is told.

use secure_callbacks::replay::shared::Outcome;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secure_callbacks::Answer;
use secure_callbacks::replay::shared::{Change, Operation};

use crate::observer::Observer;

pub(crate) struct Client {
    observer: Arc<dyn Observer>,
    /// `None`: nobody takes them any more.
    answers: Mutex<Option<Vec<(u64, Answer)>>>,
}

impl Client {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, answers: Mutex::new(Some(Vec::new())) }
    }

    pub(crate) fn take(&self) -> Vec<(u64, Answer)> {
        self.answers().as_mut().map(mem::take).unwrap_or_default()
    }

    pub(crate) fn close(&self) {
        *self.answers() = None;
    }

    pub(crate) fn answer(&self, ticket: u64, answer: Answer) {
        let is_first = self.answers().as_mut().is_some_and(|answers| {
            answers.push((ticket, answer));
            answers.len() == 1
        });
        if is_first {
            quietly(|| self.observer.answered());
        }
    }

    pub(crate) fn called(&self, operation: Operation, outcome: Outcome, elapsed: Duration) {
        quietly(|| self.observer.called(operation, outcome, elapsed));
    }

    pub(crate) fn changed(&self, change: Change, why: &str) {
        quietly(|| self.observer.changed(change, why));
    }

    fn answers(&self) -> MutexGuard<'_, Option<Vec<(u64, Answer)>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host's panic is not to take down what others wait for.
fn quietly(call: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_default();
}
