//! The one async runtime of a test program: suites are plain threads and wait on it.
use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// The runtime, started at its first use.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"))
}

/// Runs `future` to its end from a plain thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
