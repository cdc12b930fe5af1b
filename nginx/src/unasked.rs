//! Protected locations whose policy asks for a client certificate, in servers that ask no client for one: no callback can
//! pass there, and the refusals alone do not say why.
#![forbid(unsafe_code)]

use std::string::String;
use std::vec::Vec;

use crate::host::conf::{AsksClients, Conf, Place};

/// The locations whose policy asks. What their servers say is known only when all of them are merged.
#[derive(Debug, Default)]
pub(crate) struct Unasked(Vec<Asked>);

/// A location whose policy asks for a certificate.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Its own name; empty: the server.
    pub(crate) name: String,
    /// The policy's.
    pub(crate) policy: String,
    /// Where it says so, or what it inherits from.
    pub(crate) place: Place,
    /// What its server says.
    pub(crate) asking: AsksClients,
}

impl Unasked {
    pub(crate) fn add(&mut self, asked: Asked) {
        self.0.push(asked);
    }

    /// Warns, once for each line that protects something.
    pub(crate) fn warn(&self, conf: Conf<'_>) {
        let mut warned: Vec<&Place> = Vec::new();
        for Asked { name, policy, place, asking } in &self.0 {
            if asking.is_off(conf) && !warned.contains(&place) {
                warned.push(place);
                let of = if name.is_empty() { "the server" } else { name };
                let why = "\"ssl_verify_client\" is off there, so no callback can pass";
                conf.warn(place, format_args!("policy \"{policy}\" asks for a client certificate in {of}, but {why}"));
            }
        }
    }
}
