//! One request.
#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use secure_callbacks::{Answer, Code, Fault};
use secure_callbacks_envoy::filter::{Filter, fault};
use secure_callbacks_envoy::host::{Flow, Host};

use crate::abi::{self, Stream};
use crate::host::{ModuleHost, now};
use crate::plugin::{Plugin, Policy};

/// One request, on its worker's thread. Envoy may come back into one hook from within another (an answer passes this filter
/// too), so nothing of it is lent to a hook for its own.
pub(crate) struct Request {
    plugin: Arc<Plugin>,
    /// The route's, or the filter's; known with the head.
    policy: OnceCell<Policy>,
    filter: RefCell<Option<OneFilter>>,
    /// It went on to the application.
    went_on: Cell<bool>,
    /// A fault of ours came over it: nothing of it may go on.
    is_broken: Cell<bool>,
}

type OneFilter = Filter<ModuleHost, Policy>;

/// What a request's route says of its policy.
pub(crate) enum Route {
    /// Nothing: the filter's is in force.
    HasNone,
    /// It has one of its own.
    Has(Policy),
    /// It has one that is not this module's: of another module, or of another file of this one.
    HasAnothers,
}

impl Request {
    pub(crate) fn new(plugin: Arc<Plugin>) -> Self {
        let (policy, filter) = (OnceCell::new(), RefCell::new(None));
        Self { plugin, policy, filter, went_on: Cell::new(false), is_broken: Cell::new(false) }
    }

    /// The head is complete. Under a policy that nobody here knows nothing is let through.
    pub(crate) fn headers(&self, stream: Stream, route: Route, end_of_stream: bool) -> Flow {
        /// Tells requests apart, on whatever worker.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let own = match route {
            Route::Has(own) => own,
            Route::HasNone => Arc::clone(&self.plugin.policy),
            Route::HasAnothers => {
                log::error!(
                    "secure_callbacks: the route's policy belongs to another module, or to another file of this one"
                );
                self.fail(stream, true);
                return Flow::Hold;
            }
        };
        let policy = self.policy.get_or_init(|| own);
        let most = policy.verifier().policy().max_body_size();
        if let Ok(mut filter) = self.filter.try_borrow_mut() {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            *filter = Some(Filter::new(ModuleHost::new(self.plugin.metrics), Some(Arc::clone(policy)), number));
        }
        self.on_the_way(stream, |filter| {
            if !end_of_stream {
                filter.host().with(|stream| stream.raise_buffer_limit(most));
            }
            filter.request_headers(end_of_stream)
        })
    }

    /// More of the body is there.
    pub(crate) fn body(&self, stream: Stream, end_of_stream: bool) -> Flow {
        self.on_the_way(stream, |filter| {
            let size = filter.host().grown();
            filter.request_body(size, end_of_stream)
        })
    }

    /// The trailers are there.
    pub(crate) fn trailers(&self, stream: Stream) -> Flow {
        self.on_the_way(stream, |filter| {
            // What is held now is what goes on: a body that is another than it was when it was last looked at fails.
            let size = filter.host().grown();
            filter.request_body(size, false);
            filter.request_trailers()
        })
    }

    /// The shared store has answered. `Flow::Continue`: the request, which is held, goes on.
    pub(crate) fn store_answered(&self, stream: Stream, answer: Answer, after: Duration) -> Flow {
        self.on_the_way(stream, |filter| {
            if let Some(policy) = self.policy.get() {
                filter.host().store_answered(policy.metrics(), after);
            }
            filter.shared_store_answered(answer)
        })
    }

    /// Envoy is about to answer by itself.
    pub(crate) fn answers_itself(&self, stream: Stream, details: &[u8]) {
        self.with(stream, |filter| filter.host().answers_itself(details));
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&self, stream: Stream) {
        self.with(stream, OneFilter::response_headers);
    }

    /// The stream is over.
    pub(crate) fn complete(&self, stream: Stream) {
        self.with(stream, |filter| {
            filter.done();
            // Later Envoys are told every second, requests or none.
            if !abi::is_1_39()
                && let Some(policy) = self.policy.get()
            {
                if let Some(store) = policy.store() {
                    filter.host().set_entries(policy.metrics(), store.live(now()));
                }
                if let Some(link) = policy.shared_store() {
                    filter.host().set_store(policy.metrics(), link.tally());
                }
            }
        });
    }

    /// A fault of ours in the midst of it. What was on its way to the application is answered with 503 and never forwarded,
    /// and can be sent again at once. What the application had already may have been taken: its reservation lapses.
    pub(crate) fn fail(&self, stream: Stream, on_the_way: bool) {
        if self.is_broken.replace(true) {
            return;
        }
        if let Ok(mut filter) = self.filter.try_borrow_mut()
            && let Some(filter) = filter.as_mut()
        {
            filter.host().leave();
            if self.went_on.get() {
                filter.abandoned();
            }
        }
        let host = ModuleHost::new(self.plugin.metrics);
        host.enter(stream);
        let policy = self.policy.get().unwrap_or(&self.plugin.policy);
        if on_the_way {
            fault(&host, policy);
        } else {
            let (name, code) = (policy.metrics(), Code::Failed(Fault::ProxyFailed));
            host.count(name, code);
            log::error!("secure_callbacks: answer not seen: policy={name} code={}", code.as_str());
        }
    }

    /// For an event of the request: what can't be judged is held.
    fn on_the_way(&self, stream: Stream, event: impl FnOnce(&mut OneFilter) -> Flow) -> Flow {
        if self.is_broken.get() {
            return Flow::Hold;
        }
        let flow = self.with(stream, event).unwrap_or(Flow::Hold);
        if flow == Flow::Continue {
            self.went_on.set(true);
        }
        flow
    }

    /// `None`: there is no filter yet, or it is at work already.
    fn with<T>(&self, stream: Stream, event: impl FnOnce(&mut OneFilter) -> T) -> Option<T> {
        let mut filter = self.filter.try_borrow_mut().ok()?;
        let filter = filter.as_mut()?;
        filter.host().enter(stream);
        let result = event(filter);
        filter.host().leave();
        Some(result)
    }
}
