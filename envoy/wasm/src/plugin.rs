//! What Envoy calls: the plugin, once for each configuration and worker, and the requests.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use secure_callbacks::UnixSeconds;

use secure_callbacks_envoy::host::{Flow, Host};
use secure_callbacks_envoy::{Filter, Protection};

use crate::configuration::{SandboxSecrets, configure, warnings_to_tell};
use crate::envoy::Envoy;
use crate::handed_on::{self, HandedOn};

/// How often reservations lapse and a part of the replay entries is counted (a small table's all at once, a large one's in
/// a quarter of a minute).
const TICK: Duration = Duration::from_secs(1);

proxy_wasm::main! {{
    Envoy::report_panics(abandon);
    proxy_wasm::set_root_context(|_| Box::new(Plugin { protection: None, said: Rc::default() }));
}}

/// One configuration on one worker.
struct Plugin {
    protection: Option<Rc<Protection<Envoy>>>,
    /// Whether it was said that bodies are not handed on.
    said: Rc<Cell<bool>>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        Envoy::follow_log_level();
        let configured = configure(&Envoy::plugin_configuration(), &SandboxSecrets, &Envoy, now());
        match configured {
            Ok(protection) => {
                if let Some(warnings) = warnings_to_tell(protection.verifier().policy(), &Envoy) {
                    for warning in warnings.lines() {
                        log::warn!("secure_callbacks: configuration: {warning}");
                    }
                }
                Envoy::tick_every(TICK);
                let protection = Rc::new(protection);
                remember(&protection);
                self.protection = Some(protection);
                true
            }
            Err(error) => {
                log::error!("secure_callbacks: configuration: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        Envoy::follow_log_level();
        if let Some(protection) = &self.protection {
            let (Some(tables), now) = (protection.store(), now()) else { return };
            tables.on(&Envoy).lapse(now);
            if let Some(gauge) = protection.metrics().replay_entries()
                && let Some(entries) = tables.count_on(&Envoy, now)
            {
                Envoy::set_gauge(gauge, entries);
            }
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let filter = Filter::new(Envoy, self.protection.clone(), context_id);
        Some(Box::new(EnvoyRequest { filter, body: HandedOn::new(&self.said) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

thread_local! {
    /// Every policy of this sandbox that may have callbacks under way.
    static AT_WORK: RefCell<Vec<Weak<Protection<Envoy>>>> = const { RefCell::new(Vec::new()) };
}

fn remember(protection: &Rc<Protection<Envoy>>) {
    AT_WORK.with_borrow_mut(|at_work| {
        at_work.retain(|other| other.strong_count() > 0);
        at_work.push(Rc::downgrade(protection));
    });
}

/// What is left to do at a fault: nothing here runs after it.
fn abandon() {
    AT_WORK.with(|at_work| {
        for protection in at_work.try_borrow().iter().flat_map(|at_work| at_work.iter()).filter_map(Weak::upgrade) {
            if let Some(tables) = protection.store() {
                tables.on(&Envoy).abandon(now());
            }
        }
    });
}

fn now() -> UnixSeconds {
    UnixSeconds::try_from(Envoy.time().as_secs()).unwrap_or(UnixSeconds::MAX)
}

/// One request.
struct EnvoyRequest {
    filter: Filter<Envoy, Rc<Protection<Envoy>>>,
    body: HandedOn,
}

// The end of the stream is the drop of the filter: Envoy deletes the context then.
impl Drop for EnvoyRequest {
    fn drop(&mut self) {
        if self.body.is_missed(self.filter.awaits_more(), &Envoy, Envoy::received) {
            log::warn!("{}", handed_on::LINE);
        }
    }
}

impl Context for EnvoyRequest {}

impl HttpContext for EnvoyRequest {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        action(self.filter.request_headers(end_of_stream))
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        self.body.more();
        action(self.filter.request_body(body_size, end_of_stream))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.body.more();
        action(self.filter.request_trailers())
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.filter.response_headers();
        Action::Continue
    }
}

const fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Hold => Action::Pause,
    }
}
