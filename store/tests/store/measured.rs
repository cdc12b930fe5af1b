//! What one connection carries. It only measures: `--ignored`.

use std::time::{Duration, Instant};

use anyhow::Result;
use secure_callbacks::Answer;
use secure_callbacks_proxies::Engine;

use crate::holder::Holder;
use crate::server::Server;

const COUNT: u32 = 100_000;

pub(crate) fn figures(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&server.settings(), 1);
    assert_eq!(here.reserve("warm", 1), Answer::Fresh);
    for at_once in [1, 32, 1000] {
        let mut waiting = std::collections::VecDeque::new();
        let mut took = Vec::new();
        let begun = Instant::now();
        for number in 0..COUNT / if at_once == 1 { 10 } else { 1 } {
            if waiting.len() == at_once {
                let (asked, ticket): (Instant, u64) = waiting.pop_front().unwrap();
                assert_eq!(here.answer(ticket), Answer::Fresh);
                took.push(asked.elapsed());
            }
            waiting.push_back((Instant::now(), here.ask(&format!("{at_once} {number}"), 1).unwrap()));
        }
        for (asked, ticket) in waiting {
            assert_eq!(here.answer(ticket), Answer::Fresh);
            took.push(asked.elapsed());
        }
        let seconds = begun.elapsed().as_secs_f64();
        took.sort();
        let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or(Duration::ZERO);
        let rate = took.len() as f64 / seconds;
        println!("{}: {at_once} at once: {rate:.0} a second, p50 {:?}, p99 {:?}", engine.name, at(50), at(99));
    }
    Ok(())
}
