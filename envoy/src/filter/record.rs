//! What the operator gets of a verdict: a count, the access log's values, and a line in the log.

use log::Level;
use secure_callbacks::names::AccessLogValue;
use secure_callbacks::{Conclusion, Severity};

use super::connection::address;
use crate::host::Host;
use crate::protection::Protection;

/// Records a verdict, once.
pub(super) fn record<H: Host>(host: &H, protection: &Protection<H>, conclusion: &Conclusion) {
    host.count(protection.metrics(), conclusion.code);
    for value in AccessLogValue::ALL {
        if let Some(text) = value.of(conclusion.code, conclusion.identity.as_ref()) {
            host.set_state(value.name(), text);
        }
    }
    let level = match conclusion.code.severity() {
        Severity::Silent => return,
        Severity::Warning => Level::Warn,
        Severity::Error => Level::Error,
    };
    if log::log_enabled!(level) {
        let source = address(host);
        if let Some(line) = conclusion.log_line(protection.verifier().policy().name(), &source) {
            log::log!(level, "{line}");
        }
    }
}
