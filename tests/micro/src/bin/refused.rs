//! Refuses one callback as often as it is told: what `cargo xtask instructions` counts. Without arguments it lists what
//! there is to refuse: number, set and name.
#![allow(clippy::expect_used, clippy::indexing_slicing)] // A count of nothing has to stop.

use std::hint::black_box;

use secure_callbacks_micro::refused::cases;

fn main() {
    let (arguments, cases) = (std::env::args().skip(1).collect::<Vec<_>>(), cases());
    let [case, times] = arguments.as_slice() else {
        cases.iter().enumerate().for_each(|(nth, case)| println!("{nth}\t{}\t{}", case.set, case.name));
        return;
    };
    let case = &cases[case.parse::<usize>().expect("which")];
    let (site, times) = (case.site(), times.parse::<u32>().expect("how often"));
    for _ in 0..times {
        assert_eq!(black_box(&case.callback).start(&site).err(), Some(case.rejection));
    }
}
