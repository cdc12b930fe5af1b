//! Jobs side by side, and the line that shows that they are alive.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use crate::sh::{self, Result};

/// How often a step that writes to a log says that it is alive, where there is no terminal to redraw.
const STILL_RUNNING: Duration = Duration::from_secs(20);

/// A job of [`together`].
pub(crate) type Job<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Does jobs side by side, the first ones first. One more at once than there are processors: some wait for the network.
/// After a failure no further one is begun.
pub(crate) fn together(jobs: Vec<Job<'_>>) -> Result<()> {
    let workers = available_parallelism().map_or(1, usize::from) + 1;
    let (waiting, problems) = (Mutex::new(VecDeque::from(jobs)), Mutex::new(Vec::new()));
    let next = || locked(&waiting).pop_front();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = next() {
                    if let Err(problem) = job() {
                        locked(&problems).push(problem);
                        locked(&waiting).clear();
                    }
                }
            });
        }
    });
    let problems = locked(&problems);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n\n")) }
}

/// A thread that panicked has said so already.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line under steps whose output goes to logs: one for all that run.
pub(crate) struct Progress {
    running: Vec<(PathBuf, Instant)>,
    said: Option<Instant>,
    turn: usize,
}

static PROGRESS: Mutex<Progress> = Mutex::new(Progress { running: Vec::new(), said: None, turn: 0 });

/// A log that is shown as long as this lives.
pub(crate) struct Shown<'a>(&'a Path);

impl Progress {
    /// Shows a log.
    pub(crate) fn begin(log: &Path) -> Shown<'_> {
        let mut progress = locked(&PROGRESS);
        let now = Instant::now();
        progress.said.get_or_insert(now);
        progress.running.push((log.to_owned(), now));
        Shown(log)
    }

    /// Says how far they are, if it is time to: called again and again by each of them.
    pub(crate) fn tick() {
        let mut progress = locked(&PROGRESS);
        let terminal = std::io::stdout().is_terminal();
        let wait = if terminal { Duration::from_millis(250) } else { STILL_RUNNING };
        if progress.said.is_some_and(|said| said.elapsed() < wait) {
            return;
        }
        progress.said = Some(Instant::now());
        progress.turn += 1;
        let words = progress.running.iter().map(|(log, start)| {
            let lines = sh::read_lossy(log).lines().count();
            format!("{} {} s, {lines} lines", log.file_name().unwrap_or_default().display(), start.elapsed().as_secs())
        });
        let words = format!("target/logs: {}", words.collect::<Vec<_>>().join("; "));
        if terminal {
            let sign = ["|", "/", "-", "\\"].get(progress.turn % 4).copied().unwrap_or("|");
            print!("\r\x1b[K      {sign} {words}");
            sh::flush();
        } else {
            say(&format!("      … {words}"));
        }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut progress = locked(&PROGRESS);
        progress.running.retain(|(log, _)| log != self.0);
        if progress.running.is_empty() {
            progress.said = None;
        }
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K");
            sh::flush();
        }
    }
}

/// Prints a line, in the place of the line of progress if there is one.
pub(crate) fn say(line: &str) {
    println!("{}{line}", if std::io::stdout().is_terminal() { "\r\x1b[K" } else { "" });
    sh::flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_and_every_problem_told() {
        let done = Mutex::new(0);
        let good = || -> Job<'_> {
            Box::new(|| {
                *locked(&done) += 1;
                Ok(())
            })
        };
        assert_eq!(together((0..20).map(|_| good()).collect()), Ok(()));
        assert_eq!(*locked(&done), 20);
        let bad: Job<'_> = Box::new(|| Err("no".into()));
        assert_eq!(together(vec![good(), bad]), Err("no".into()));
    }
}
