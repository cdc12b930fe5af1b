//! The line about a panic, from a hook that is set as the hosts set theirs.
#![allow(clippy::panic, clippy::unwrap_used, reason = "panics are what is tested")]

use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::Mutex;

use secure_callbacks::fault;

static SAID: Mutex<String> = Mutex::new(String::new());

#[test]
fn a_panic_is_told_by_its_place_alone() {
    const TOKEN: &str = "é-a-token-or-a-secret";
    let cases: [(&str, fn()); 2] = [
        ("a message", || panic!("{TOKEN}")),
        // The standard message of this one quotes the text.
        ("a slice", || drop(TOKEN[..std::hint::black_box(1)].to_owned())),
    ];
    for (name, case) in cases {
        set_hook(Box::new(|info| *SAID.lock().unwrap() = fault::line(info.location())));
        let panicked = catch_unwind(case).is_err();
        let _ = take_hook();
        let said = SAID.lock().unwrap().clone();
        assert!(panicked, "{name}");
        assert!(said.starts_with("secure_callbacks: a fault inside, at "), "{name}: {said}");
        assert!(said.contains(".rs:") && said.lines().count() == 1, "{name}: {said}");
        assert!(!said.contains("token") && !said.contains('é'), "{name}: {said}");
    }
    assert_eq!(fault::line(None), "secure_callbacks: a fault inside");
}
