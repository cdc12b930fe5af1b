//! The log: what the `log` macros say goes to Envoy's own. The SDK's logger is not used, because it panics when Envoy
//! does not take a line.

use log::{Level, LevelFilter, Log, Metadata, Record};
use proxy_wasm::types::LogLevel;

use crate::abi;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Error => LogLevel::Error,
            Level::Warn => LogLevel::Warn,
            Level::Info => LogLevel::Info,
            Level::Debug => LogLevel::Debug,
            Level::Trace => LogLevel::Trace,
        };
        // A line that can't be written is no reason to do anything else differently.
        let _ = abi::log(level, &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Sends the log to Envoy, as far as Envoy writes it: lines of lower levels are not even put together.
pub(crate) fn follow() {
    // It is set already, from the second configuration on.
    let _ = log::set_logger(&Logger);
    log::set_max_level(match abi::log_level() {
        Ok(LogLevel::Trace) => LevelFilter::Trace,
        Ok(LogLevel::Debug) => LevelFilter::Debug,
        Ok(LogLevel::Warn) => LevelFilter::Warn,
        Ok(LogLevel::Error | LogLevel::Critical) => LevelFilter::Error,
        Ok(LogLevel::Info) | Err(_) => LevelFilter::Info,
    });
}
