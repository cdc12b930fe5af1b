//! Many copies of one token at once, over all proxies.
use crate::site::Fleet;
use anyhow::{Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::send_to;
use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools::ProxyKind;
use serde_json::json;
use std::collections::BTreeMap;

/// How many copies a round sends, and how many rounds there are.
const COPIES: usize = 1000;
const ROUNDS: usize = 20;

pub(crate) fn add(suite: &mut Suite, kinds: &[ProxyKind]) {
    let twice: Vec<_> = kinds.iter().flat_map(|kind| [*kind, *kind]).collect();
    suite.add("of_a_thousand_copies_over_all_proxies_one_is_accepted", None, move || one_of_many(&twice));
}

fn one_of_many(kinds: &[ProxyKind]) -> Result<()> {
    let fleet = Fleet::start(kinds, json!({ "timeout": "5s" }))?;
    for round in 0..ROUNDS {
        let callback = Callback::new();
        let replies = wait(async {
            let sends = (0..COPIES).map(|nth| {
                let address = fleet.members[nth % fleet.members.len()].address();
                let message = callback.message.clone();
                tokio::spawn(async move { send_to(address, &message).await })
            });
            let mut replies: BTreeMap<_, usize> = BTreeMap::new();
            for sent in sends.collect::<Vec<_>>() {
                let reply = sent.await??;
                *replies.entry((reply.status, reply.code())).or_default() += 1;
            }
            anyhow::Ok(replies)
        })?;
        let accepted = replies.get(&(200, None)).copied().unwrap_or_default();
        let delivered = fleet.upstream.deliveries(&callback.id);
        ensure!((accepted, delivered) == (1, 1), "round {round}: {delivered} delivered, answers {replies:?}");
        let due = |(status, code): &(u16, Option<String>)| match (status, code.as_deref()) {
            (200, None) | (401, Some("replayed")) | (503, Some("replay_in_flight")) => true,
            _ => false,
        };
        ensure!(replies.keys().all(due), "round {round}: {replies:?}");
    }
    Ok(())
}
