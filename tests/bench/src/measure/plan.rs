//! Which row is measured with which case, and with how many callbacks a round.

use crate::peers::{Checks, Helper, Peer};
use crate::results::{Case, Sent};

/// Bodies of the rows that are measured with every size.
pub(crate) const SIZES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// The cases of a row.
pub(crate) fn cases(peer: &Peer, quick: bool) -> Vec<Case> {
    let mut cases = vec![Case::COMMON];
    if peer.checks != Checks::Nothing {
        cases.push(Case::FORGED);
    }
    if peer.has_sizes() {
        cases.extend(SIZES.map(Case::sized).iter().filter(|case| !quick || case.body_bytes == 1 << 20));
    }
    if peer.has_transports() && !quick && !peer.is_other_build() {
        cases.extend([Case::HTTP2, Case::MUTUAL_TLS]);
    }
    cases
}

/// How many callbacks of a case one round sends to a row.
pub(crate) fn count(peer: &Peer, case: Case, quick: bool) -> usize {
    let count = match case.body_bytes {
        bytes if bytes >= 1 << 20 => 40,
        bytes if bytes >= 64 << 10 => 250,
        _ if matches!(peer.helper, Some(Helper::Application { .. })) => 600,
        _ if case.sent == Sent::Forged => 1000,
        _ => 1500,
    };
    if quick { count / 2 } else { count }
}
