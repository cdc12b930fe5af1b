//! The log: what the `log` macros say goes to Envoy's own, under the name `dynamic_modules`.
#![forbid(unsafe_code)]

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::abi::{self, LogLevel};

struct Logger;

impl Log for Logger {
    /// Envoy's level can change at any time.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        abi::log_enabled(level(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            abi::log(level(record.level()), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

const fn level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Warn => LogLevel::Warning,
        Level::Info => LogLevel::Info,
        Level::Debug => LogLevel::Debug,
        Level::Trace => LogLevel::Trace,
    }
}

/// Sends the log to Envoy.
pub(crate) fn start() {
    // It is set already where the module is loaded once more.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Trace);
}
