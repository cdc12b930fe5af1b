//! What the operator gets of a verdict: a count, the access log's values, and a line in the log.

use log::Level;
use secure_callbacks::Conclusion;
use secure_callbacks::verdict::ACCEPTED;

use super::Host;
use super::connection::address;
use crate::protection::Protection;

/// Records a verdict, once.
pub(super) fn record(host: &impl Host, protection: &Protection, conclusion: &Conclusion) {
    if let Some(counter) = protection.metrics().requests(conclusion.code) {
        host.increment(counter);
    }
    host.set_state("secure_callbacks_result", conclusion.code);
    if let Some(identity) = &conclusion.identity {
        host.set_state("secure_callbacks_api_key", identity.api_key());
        if let Some(application_id) = identity.application_id() {
            host.set_state("secure_callbacks_application_id", application_id);
        }
        if let Some(jti) = identity.jti() {
            host.set_state("secure_callbacks_jti", jti);
        }
    }
    let level = if conclusion.fault { Level::Error } else { Level::Warn };
    if conclusion.code != ACCEPTED && log::log_enabled!(level) {
        let source = address(host);
        if let Some(line) = conclusion.log_line(protection.verifier().policy().name(), &source) {
            log::log!(level, "{line}");
        }
    }
}
