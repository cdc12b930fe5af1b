//! Which capacities a policy has had lately: a record in shared data, so that every worker and every later
//! configuration knows which tables may still remember a callback.

use secure_callbacks::replay::generations;
use secure_callbacks::{Policy, UnixSeconds};

use crate::shared_data::{SharedData, key, update};

/// A capacity, and until when its table remembers anything.
type Generation = (u32, UnixSeconds);

const GENERATION_BYTES: usize = 12;

/// The current one has no end yet.
const CURRENT: UnixSeconds = UnixSeconds::MAX;

/// Makes the policy's capacity the current one. Returns the others that still remember something; `None` if shared data
/// does not work.
pub(super) fn switch(policy: &Policy, data: &impl SharedData, now: UnixSeconds) -> Option<Vec<Generation>> {
    let record = key(policy.name(), "capacities");
    let capacity = policy.replay_capacity();
    update(data, &record, |bytes| {
        let mut generations = bytes.map_or_else(|| Some(Vec::new()), |bytes| decode(&bytes))?;
        let is_current = generations.contains(&(capacity, CURRENT));
        if !is_current {
            let until = generations::counts_until(policy.replay_memory(), now);
            for (_, end) in &mut generations {
                *end = (*end).min(until);
            }
            generations.retain(|&(other, end)| other != capacity && end >= now);
            generations.push((capacity, CURRENT));
        }
        let changed = (!is_current).then(|| encode(&generations));
        generations.retain(|&(_, end)| end != CURRENT && end >= now);
        Some((generations, changed))
    })
}

fn decode(bytes: &[u8]) -> Option<Vec<Generation>> {
    let (generations, rest) = bytes.as_chunks::<GENERATION_BYTES>();
    let generation = |&[c0, c1, c2, c3, u0, u1, u2, u3, u4, u5, u6, u7]: &[u8; GENERATION_BYTES]| {
        (u32::from_le_bytes([c0, c1, c2, c3]), UnixSeconds::from_le_bytes([u0, u1, u2, u3, u4, u5, u6, u7]))
    };
    rest.is_empty().then(|| generations.iter().map(generation).collect())
}

fn encode(generations: &[Generation]) -> Vec<u8> {
    let bytes = |&(capacity, until): &Generation| {
        let (capacity, until) = (u32::to_le_bytes(capacity), until.to_le_bytes());
        capacity.into_iter().chain(until)
    };
    generations.iter().flat_map(bytes).collect()
}
