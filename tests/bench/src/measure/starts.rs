//! How long a proxy takes from its start to its first connection, with a filter and without: on all cores, and with room
//! for as many callbacks as is the default, as an operator starts it.

use anyhow::Result;

use super::median;
use crate::peers::{Host, Instance, Peer, Site};
use crate::results::Footprint;

/// Starts Envoy again and again, in turns with and without our filter, and puts the medians into the footprints. (Nginx
/// starts at once; a single start is what its rows show.)
pub(crate) fn run(peers: &[Peer], site: &Site, footprints: &mut [Footprint], quick: bool) -> Result<()> {
    let peers = peers.iter().filter(|peer| peer.host == Host::Envoy && (peer.is_plain() || peer.is_ours()));
    let mut times: Vec<_> = peers.map(|peer| (*peer, Vec::new())).collect();
    for _ in 0..if quick { 1 } else { 5 } {
        for (peer, times) in &mut times {
            times.push(Instance::start(*peer, site)?.started_in.as_secs_f64() * 1e3);
        }
    }
    for (peer, times) in times {
        let is_it = |footprint: &&mut Footprint| footprint.host == peer.host.name() && footprint.row == peer.name;
        if let Some(footprint) = footprints.iter_mut().find(is_it) {
            footprint.start_ms = median(times);
        }
    }
    Ok(())
}
