//! How often the accept path asks for memory: each time is a walk through an allocator, in the sandbox a slow one.

use allocation_counter::measure;
use secure_callbacks_micro::{Callback, SHORT_BODY, refused, site};

/// The decoded claims, `jsonwebtoken`'s verifier and its decoded signature, and the identity.
const HEAD: u64 = 4;

#[test]
fn the_head_of_a_callback_takes_four_allocations() {
    let (site, callback) = (site(), Callback::good(SHORT_BODY));
    let memory = measure(|| {
        callback.start(&site).ok();
    });
    assert_eq!(memory.count_total, HEAD);
}

#[test]
fn nothing_after_the_head_takes_any() {
    let (mut site, callback) = (site(), Callback::good(1 << 20));
    assert_eq!(measure(|| callback.accept(&mut site)).count_total, HEAD);
}

#[test]
fn what_is_kept_while_the_body_is_awaited_is_one_allocation() {
    let (site, callback) = (site(), Callback::good(SHORT_BODY));
    let mut pending = None;
    let memory = measure(|| pending = callback.start(&site).ok());
    assert_eq!(memory.count_current, 1);
    let memory = measure(|| drop(pending.take().map(|pending| callback.end(pending))));
    assert_eq!((memory.count_total, memory.count_current), (0, -1));
}

/// Each look at a signature takes two: as many are taken for every account, and for none.
#[test]
fn a_refused_signature_takes_as_many_whatever_the_account() {
    let mut counts = Vec::new();
    for case in refused::cases().into_iter().filter(|case| case.set.starts_with("accounts")) {
        let site = case.site();
        let memory = measure(|| assert_eq!(case.callback.start(&site).err(), Some(case.rejection)));
        counts.push((case.name, memory.count_total));
    }
    let (_, first) = counts[0];
    assert!(counts.iter().all(|(_, count)| *count == first), "{counts:?}");
}
