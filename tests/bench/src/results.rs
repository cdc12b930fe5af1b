//! What a run found, as it is written to `target/bench/*.json`. Tables, charts, documents and targets are all made from
//! this and from nothing else.

use std::fmt;

use serde::Serialize;

/// What was sent, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Case {
    pub(crate) body_bytes: usize,
    pub(crate) sent: Sent,
    pub(crate) transport: Transport,
}

/// Whether the callback was genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sent {
    Genuine,
    Forged,
}

/// How it came to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    Http1,
    Http2,
    /// HTTP/1.1 over TLS 1.3, with a client certificate.
    MutualTls,
}

impl Case {
    /// The size of a common callback, and the case that every row is measured with.
    pub(crate) const COMMON: Self = Self { body_bytes: 228, sent: Sent::Genuine, transport: Transport::Http1 };
    pub(crate) const FORGED: Self = Self { sent: Sent::Forged, ..Self::COMMON };
    pub(crate) const HTTP2: Self = Self { transport: Transport::Http2, ..Self::COMMON };
    pub(crate) const MUTUAL_TLS: Self = Self { transport: Transport::MutualTls, ..Self::COMMON };

    /// A genuine callback of this size.
    pub(crate) const fn sized(body_bytes: usize) -> Self {
        Self { body_bytes, ..Self::COMMON }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.body_bytes {
            bytes if bytes >= 1 << 20 => write!(formatter, "{} MiB", bytes >> 20)?,
            bytes if bytes >= 1 << 10 => write!(formatter, "{} KiB", bytes >> 10)?,
            bytes => write!(formatter, "{bytes} B")?,
        }
        formatter.write_str(match self.sent {
            Sent::Genuine => "",
            Sent::Forged => ", forged",
        })?;
        formatter.write_str(match self.transport {
            Transport::Http1 => "",
            Transport::Http2 => ", HTTP/2",
            Transport::MutualTls => ", mutual TLS",
        })
    }
}

/// CPU time for one callback.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) host: &'static str,
    pub(crate) row: &'static str,
    pub(crate) title: &'static str,
    pub(crate) looks_at: &'static str,
    pub(crate) case: Case,
    /// Medians over the less disturbed half of the rounds: the proxy, the program beside it, both together.
    pub(crate) proxy_us: f64,
    pub(crate) helper_us: f64,
    pub(crate) total_us: f64,
    pub(crate) per_second: f64,
    /// `total_us` of each round.
    pub(crate) rounds_us: Vec<f64>,
    /// How much of its time in each round the proxy was ready and waited for its core, from 0 to 1.
    pub(crate) rounds_waited: Vec<f64>,
}

/// Latency at a constant rate; without figures where the row can't keep up with it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) host: &'static str,
    pub(crate) row: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rate_per_second: f64,
    /// Medians over the less disturbed half of the rounds of each round's own percentile.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    /// Each round's 99th percentile.
    pub(crate) rounds_p99_us: Vec<f64>,
}

/// Memory and start of a row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Footprint {
    pub(crate) host: &'static str,
    pub(crate) row: &'static str,
    pub(crate) title: &'static str,
    /// After all rounds.
    pub(crate) proxy_rss_kib: u64,
    pub(crate) helper_rss_kib: u64,
    /// From the start of the proxy's process until it took a connection, on all cores; the median of several starts.
    pub(crate) start_ms: f64,
}

/// The machine, and everything's version.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct About {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) rounds: usize,
    pub(crate) replay_capacity: u32,
    /// CPU time for SHA-256 of 1 MiB, natively, on the core of the proxies; the median over the rounds.
    pub(crate) sha256_mib_us: f64,
    /// How much of the proxies' core a busy loop got; the median over the rounds.
    pub(crate) core_share: f64,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) about: About,
    pub(crate) costs: Vec<Cost>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) footprints: Vec<Footprint>,
    pub(crate) wasm_bytes: Option<u64>,
    /// Rows that could not be had, and why.
    pub(crate) skipped: Vec<(String, String)>,
}

impl Results {
    pub(crate) fn cost(&self, host: &str, row: &str, case: Case) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.host == host && cost.row == row && cost.case == case)
    }

    pub(crate) fn latency(&self, host: &str, row: &str) -> Option<&Latency> {
        self.latencies.iter().find(|latency| latency.host == host && latency.row == row)
    }

    pub(crate) fn footprint(&self, host: &str, row: &str) -> Option<&Footprint> {
        self.footprints.iter().find(|footprint| footprint.host == host && footprint.row == row)
    }

    /// What a row costs over another in the same case.
    pub(crate) fn difference(&self, host: &str, row: &str, base: &str, case: Case) -> Option<f64> {
        Some(self.cost(host, row, case)?.total_us - self.cost(host, base, case)?.total_us)
    }

    /// What a row adds to the plain proxy.
    pub(crate) fn added(&self, host: &str, row: &str, case: Case) -> Option<f64> {
        self.difference(host, row, "plain", case)
    }
}
