//! Envoy filters that check nothing, so that the benchmark can tell what the sandbox itself costs. The plugin's
//! configuration says which: `noop` is called for each request and does nothing, `hold` keeps the request back until
//! its end and reads the head and the body, as every filter that checks a body must.

#![allow(missing_docs, reason = "the macro of the SDK makes a public function without")]

use std::hint::black_box;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

/// How much of a body is read at once: as much as our filter does.
const SLICE_BYTES: usize = 64 * 1024;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { holds: false }));
}}

struct Root {
    holds: bool,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match self.get_plugin_configuration().as_deref() {
            Some(b"noop") => self.holds = false,
            Some(b"hold") => self.holds = true,
            _ => return false,
        }
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(if self.holds { Box::new(Hold { read: 0 }) } else { Box::new(Noop) })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Noop;

impl Context for Noop {}

impl HttpContext for Noop {}

struct Hold {
    /// How much of the body was read already.
    read: usize,
}

impl Context for Hold {}

impl HttpContext for Hold {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        black_box(self.get_http_request_headers_bytes());
        if end_of_stream { Action::Continue } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        while self.read < size {
            let slice = self.get_http_request_body(self.read, (size - self.read).min(SLICE_BYTES));
            match black_box(slice) {
                Some(slice) if !slice.is_empty() => self.read += slice.len(),
                _ => break,
            }
        }
        if end_of_stream { Action::Continue } else { Action::Pause }
    }
}
