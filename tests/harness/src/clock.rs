//! Time: what it is now, and waiting for what comes about by itself.
use anyhow::Result;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    i64::try_from(since_1970().as_secs()).expect("seconds")
}

/// Milliseconds since 1970. Containers on one machine share its clock, so theirs compare.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).expect("milliseconds")
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970")
}

/// Asks again and again until there is an answer; `None` when the time is up.
pub fn until<T>(patience: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let start = Instant::now();
    loop {
        let answer = ask()?;
        if answer.is_some() || start.elapsed() > patience {
            return Ok(answer);
        }
        std::thread::sleep(pause(start));
    }
}

/// The same inside the runtime, for what can't fail.
pub async fn comes<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || start.elapsed() > patience {
            return answer;
        }
        tokio::time::sleep(pause(start)).await;
    }
}

/// What is not there after a second is asked for less often: tests share the machine.
fn pause(start: Instant) -> Duration {
    Duration::from_millis(if start.elapsed() < Duration::from_secs(1) { 20 } else { 100 })
}
