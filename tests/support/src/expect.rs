//! What a row expects of whom.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Who runs a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// The verifier by itself, without a proxy.
    Core,
    /// The proxy-wasm filter in Envoy.
    Envoy,
    /// The dynamic module in Envoy.
    EnvoyModule,
    /// The dynamic module in Nginx.
    Nginx,
}

/// The outcome of one sending.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The verdict's code; `None` where the host itself answers before the check.
    pub code: Option<String>,
    /// The status of the reply. Below 400 means: forwarded to the upstream (which answers 200).
    pub status: u16,
    /// Headers and trailers at the upstream, names in lower case; `None` means absent or empty, in every copy. After
    /// [`crate::Rendered::fill`] this holds the identity headers of every forwarded request, also those that the row
    /// does not mention.
    #[serde(default)]
    pub upstream_headers: BTreeMap<String, Option<String>>,
    /// Headers of the reply, names in lower case; `None` means absent.
    #[serde(default)]
    pub reply_headers: BTreeMap<String, Option<String>>,
    /// The whole body of the reply.
    #[serde(default)]
    pub reply_body: Option<String>,
}

impl Host {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Core, Self::Envoy, Self::EnvoyModule, Self::Nginx];
}

impl Expectation {
    /// Accepted, forwarded, answered 200.
    #[must_use]
    pub fn accepted() -> Self {
        Self {
            code: Some("accepted".into()),
            status: 200,
            upstream_headers: BTreeMap::new(),
            reply_headers: BTreeMap::new(),
            reply_body: None,
        }
    }

    /// Whether the upstream is to see the request. If not, it is to see no byte of it.
    #[must_use]
    pub fn forwarded(&self) -> bool {
        self.status < 400
    }
}

/// What one host has to do with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The outcome.
    pub expect: Expectation,
    /// The outcome of the very same bytes sent once more while the first sending is at the upstream, which has not
    /// answered yet.
    pub meanwhile: Option<Expectation>,
    /// The outcome of the very same bytes sent once more, after the first reply has arrived.
    pub again: Option<Expectation>,
}

impl Case {
    /// The outcomes of the row's own bytes, in the order in which their verdicts are given.
    pub fn outcomes(&self) -> impl Iterator<Item = &Expectation> {
        std::iter::once(&self.expect).chain(&self.meanwhile).chain(&self.again)
    }

    /// What is on its way to nobody can't be met there.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let nowhere = self.meanwhile.is_some() && !self.expect.forwarded();
        nowhere.then_some("meanwhile: the first sending is not forwarded")
    }
}

/// Where a host legitimately differs, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    /// The reason for leaving the row out on this host.
    pub(crate) skip: Option<String>,
    /// The reason for another outcome.
    pub(crate) why: Option<String>,
    pub(crate) expect: Option<Expectation>,
    pub(crate) meanwhile: Option<Expectation>,
    pub(crate) again: Option<Expectation>,
}

impl Difference {
    /// The other outcomes.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &Expectation> {
        [&self.expect, &self.meanwhile, &self.again].into_iter().flatten()
    }

    /// A difference without a reason is a hidden failure.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let differs = self.outcomes().next().is_some();
        match (&self.skip, &self.why) {
            (Some(reason), None) if !reason.is_empty() && !differs => None,
            (None, Some(reason)) if !reason.is_empty() && differs => None,
            _ => Some("hosts: give `skip` with a reason, or `why` and what comes out"),
        }
    }
}
