//! What the operator gets of a verdict: a count, the access log's values, and a line in the log.

use log::Level;
use secure_callbacks::names::AccessLogValue;
use secure_callbacks::record::Circumstances;
use secure_callbacks::{Conclusion, Severity, UnixSeconds};

use super::connection::address;
use crate::certificates;
use crate::host::{Attribute, Host};
use crate::protection::Protection;

/// Records a verdict that falls now, once.
pub(super) fn record<H: Host>(host: &H, protection: &Protection<H>, conclusion: &Conclusion, now: UnixSeconds) {
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
        let (source, path) = (address(host), host.attribute(Attribute::Path).unwrap_or_default());
        let subject = if conclusion.tells_subject() { certificates::subject(host) } else { None }.unwrap_or_default();
        let policy = protection.verifier().policy().name();
        let request = Circumstances { policy, source: &source, path: &path, subject: &subject, now };
        if let Some(line) = conclusion.log_line(request) {
            log::log!(level, "{line}");
        }
    }
}
