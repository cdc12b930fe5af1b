//! Whether Envoy hands on the bodies of requests that are held at their heads. It does only if the plugin's `config` says
//! `allow_on_headers_stop_iteration: true`, which nothing in the sandbox can read. Without it every callback with a body
//! waits until somebody gives up, and nobody would say why.
//!
//! A client that sends a head and no body looks the same, but for what Envoy has received.

use std::cell::Cell;
use std::rc::Rc;

use secure_callbacks_envoy::host::{Host, Part};

/// What is said, once for each configuration and worker.
pub const LINE: &str = "secure_callbacks: the body of a held request has arrived, but Envoy did not pass it on to the \
                        filter; is allow_on_headers_stop_iteration set in the plugin's config?";

/// What is known of one request.
#[derive(Debug)]
pub struct HandedOn {
    /// Some of its body, or its end, was handed on.
    any: bool,
    /// Whether it was said.
    said: Rc<Cell<bool>>,
}

impl HandedOn {
    /// For a request under a configuration, whose requests share `said`.
    #[must_use]
    pub fn new(said: &Rc<Cell<bool>>) -> Self {
        Self { any: false, said: Rc::clone(said) }
    }

    /// Some of the body, or its end, is handed on.
    pub fn more(&mut self) {
        self.any = true;
    }

    /// The request is over, and is still awaited if it was `held`; `received` tells how much of it Envoy has had, head and
    /// body. Whether to say the line.
    #[must_use]
    pub fn is_missed(&self, held: bool, host: &impl Host, received: impl FnOnce() -> Option<u64>) -> bool {
        if self.any || !held || self.said.get() {
            return false;
        }
        let mut head: u64 = 0;
        let mut add = |text: &[u8]| head = head.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        let read = host.each_field(Part::Headers, &mut |name, value| {
            add(name);
            add(value);
        });
        let is_missed = read.is_ok() && received().is_some_and(|received| received > head);
        self.said.set(is_missed);
        is_missed
    }
}
