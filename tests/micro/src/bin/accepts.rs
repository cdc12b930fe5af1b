//! Accepts a callback as often as its argument says: what `cargo xtask instructions` counts.
#![allow(clippy::expect_used)] // A count of nothing has to stop.

use std::hint::black_box;

use secure_callbacks_micro::{Callback, SHORT_BODY, site};

fn main() {
    let times: u32 = std::env::args().nth(1).and_then(|times| times.parse().ok()).expect("how often");
    let (mut site, callback) = (site(), Callback::good(SHORT_BODY));
    for _ in 0..times {
        black_box(&callback).accept(&mut site);
    }
}
