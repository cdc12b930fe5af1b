//! One thread a process: who shares it, what it takes from the process, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use secure_callbacks::Answer;
use secure_callbacks::replay::shared::{Change, Operation, Protocol};
use secure_callbacks_proxies::Engine;
use secure_callbacks_store::{NotAsked, Observer, Outcome, Store};

use crate::Test;
use crate::holder::{Holder, reservation, wait};
use crate::server::{Server, TIMEOUT, settings};

pub(crate) const TESTS: &[Test] = &[
    ("equal_settings_share_a_connection", equal_settings_share_a_connection),
    ("it_takes_no_signals", it_takes_no_signals),
    ("its_end_sends_what_is_queued", its_end_sends_what_is_queued),
    ("its_end_waits_no_longer_than_the_timeout", its_end_waits_no_longer_than_the_timeout),
    ("a_fork_has_none", a_fork_has_none),
    ("an_observer_that_panics_changes_nothing", an_observer_that_panics_changes_nothing),
    ("the_last_one_may_end_on_the_thread_itself", the_last_one_may_end_on_the_thread_itself),
];

fn equal_settings_share_a_connection(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let other = settings(&server.url(), None, TIMEOUT / 2);
    let holders: Vec<_> = (0..3).map(|process| Holder::new(&server.settings(), process)).collect();
    for (number, holder) in holders.iter().enumerate() {
        assert_eq!(holder.reserve(&format!("{number}"), 1), Answer::Fresh);
    }
    assert_eq!(server.connections()?.len(), 1);
    let another = Holder::new(&other, 4);
    assert_eq!(another.reserve("a", 1), Answer::Fresh);
    assert_eq!(server.connections()?.len(), 2);
    drop(holders);
    wait(|| server.connections().unwrap().len() == 1, || "the connection of those that ended".into());
    assert_eq!(another.reserve("b", 1), Answer::Fresh);
    Ok(())
}

/// Nginx's own thread must be woken by those that are for it.
fn it_takes_no_signals(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    let mut seen = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        let Ok(status) = fs::read_to_string(thread.join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("Name:") == Some("callback-store") {
            let blocked = u64::from_str_radix(field("SigBlk:").context("no SigBlk")?, 16)?;
            // SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCHLD, SIGWINCH, SIGIO
            for signal in [1, 2, 3, 10, 12, 14, 15, 17, 28, 29] {
                assert_ne!(blocked >> (signal - 1) & 1, 0, "signal {signal} of {blocked:x}");
            }
            assert_eq!(blocked >> (11 - 1) & 1, 0, "SIGSEGV");
            seen += 1;
        }
    }
    assert!(seen > 0);
    let own = fs::read_to_string("/proc/thread-self/status")?;
    assert!(own.contains("SigBlk:\t0000000000000000"), "this thread's own are as they were: {own}");
    Ok(())
}

fn its_end_sends_what_is_queued(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let mut here = Holder::new(&server.settings(), 1);
    for number in 0..1000 {
        here.ask(&format!("{number}"), 1).unwrap();
        here.keep(&format!("{number}"), 1);
    }
    here.store = None;
    assert_eq!(server.asked::<i64>(&["DBSIZE"])?, 1000);
    assert_eq!(server.asked::<String>(&["GET", &here.key("999")])?, "kept");
    assert_eq!(here.told.count(Operation::Keep, Outcome::Answered), 1000);
    Ok(())
}

fn its_end_waits_no_longer_than_the_timeout(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let mut here = Holder::new(&settings(&server.url(), None, Duration::from_millis(300)), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    server.pause()?;
    here.keep("a", 1);
    let begun = Instant::now();
    here.store = None;
    let took = begun.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_millis(1500)).contains(&took), "{took:?}");
    assert_eq!(here.told.count(Operation::Keep, Outcome::TimedOut), 1);
    Ok(())
}

/// A copy without its thread: it says so, and neither waits nor touches what the other process has.
fn a_fork_has_none(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let mut here = Holder::new(&server.settings(), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    let (mut ours, mut theirs) = UnixStream::pair()?;
    let command = here.command("b", 1);
    let started = server.settings();
    let told = Arc::clone(&here.told);
    // SAFETY: the child calls what takes locks that no other thread of this process holds here, and ends without
    // returning.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = here.store().ask(7, command) == Err(NotAsked);
        here.store = None;
        let fresh = Store::start(&started, told as Arc<dyn Observer>).is_ok_and(|store| {
            store.tell(here.command("from the child", 1));
            drop(store);
            true
        });
        theirs.write_all(&[u8::from(refused), u8::from(fresh)]).unwrap();
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
    ours.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut said = [0; 2];
    ours.read_exact(&mut said).context("the child hangs")?;
    // SAFETY: it is this process's own child.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(said, [1, 1], "refused, and started anew");
    assert_eq!(here.reserve("c", 1), Answer::Fresh, "this one's is as it was");
    assert_eq!(server.asked::<i64>(&["EXISTS", &here.key("from the child")])?, 1);
    Ok(())
}

fn an_observer_that_panics_changes_nothing(engine: &'static Engine) -> Result<()> {
    struct Panics;
    impl Observer for Panics {
        fn answered(&self) {
            resume_unwind(Box::new("in answered"));
        }
        fn called(&self, _: Operation, _: Outcome, _: Duration) {
            resume_unwind(Box::new("in called"));
        }
        fn changed(&self, _: Change, _: &str) {
            resume_unwind(Box::new("in changed"));
        }
    }
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    let panics = Store::start(&server.settings(), Arc::new(Panics))?;
    for number in 0..10 {
        panics.ask(number, here.command(&format!("{number}"), 1)).unwrap();
        let mut answers = Vec::new();
        wait(
            || {
                panics.take(|ticket, answer| answers.push((ticket, answer)));
                !answers.is_empty()
            },
            || "an answer".into(),
        );
        assert_eq!(answers, [(number, Answer::Fresh)]);
    }
    assert_eq!(here.reserve("5", 1), Answer::Fresh, "its own: the others go on");
    Ok(())
}

fn the_last_one_may_end_on_the_thread_itself(engine: &'static Engine) -> Result<()> {
    struct Holds(Mutex<Option<Store>>, Mutex<Sender<()>>);
    impl Observer for Holds {
        fn answered(&self) {
            *self.0.lock().unwrap() = None;
            self.1.lock().unwrap().send(()).unwrap();
        }
        fn called(&self, _: Operation, _: Outcome, _: Duration) {}
        fn changed(&self, _: Change, _: &str) {}
    }
    let server = Server::start(engine)?;
    let (ended, end) = channel();
    let holds = Arc::new(Holds(Mutex::new(None), Mutex::new(ended)));
    let here = Protocol::new("sc:", "video", 1);
    let other = settings(&server.url(), None, TIMEOUT * 2);
    let command = here.reserve(&reservation("a", 1));
    let mut held = holds.0.lock().unwrap();
    let store = held.insert(Store::start(&other, Arc::clone(&holds) as Arc<dyn Observer>)?);
    store.ask(1, command).unwrap();
    drop(held);
    end.recv_timeout(Duration::from_secs(10)).context("it waits for itself")?;
    wait(|| server.connections().unwrap().len() == 0, || "the end of its connection".into());
    Ok(())
}
