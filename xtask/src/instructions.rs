//! `cargo xtask instructions`: how many instructions the core takes to accept one callback. Unlike a time, that number is
//! the same on a busy machine, so a change of a few hundredths shows.
//!
//! Valgrind's processor has no SHA instructions: the count is of SHA-256 in plain code, as in the sandbox.

use crate::sh::{self, Cmd, Result};

/// Per accepted callback with a body of 228 bytes, by rustc 1.95 and glibc 2.36 on x86-64. A change that moves it on
/// purpose sets it anew.
const EXPECTED: u64 = 51_709;

/// Another glibc or a patch release of the compiler moves the count by less.
const TOLERANCE_PERCENT: u64 = 2;

/// Two runs, whose difference leaves out what starting and stopping takes.
const RUNS: [u64; 2] = [200, 1200];

/// Counts, prints, and fails if the count has moved, in either direction.
pub(crate) fn run() -> Result<()> {
    if !sh::on_path("valgrind") {
        return Err("valgrind is missing: `apt-get install valgrind`".into());
    }
    Cmd::cargo(["build", "--release", "-p", "secure-callbacks-micro", "--bin", "accepts"]).shown()?;
    let [few, many] = RUNS;
    let counted = count(many)?.saturating_sub(count(few)?) / (many - few);
    let moved = (i128::from(counted) - i128::from(EXPECTED)) as f64 * 100.0 / EXPECTED as f64;
    println!("{counted} instructions per accepted callback ({moved:+.1} % of the {EXPECTED} noted)");
    judge(counted)
}

fn judge(counted: u64) -> Result<()> {
    let allowed = EXPECTED * TOLERANCE_PERCENT / 100;
    if counted.abs_diff(EXPECTED) <= allowed {
        return Ok(());
    }
    Err(format!(
        "moved by more than {TOLERANCE_PERCENT} %: if that is meant, set EXPECTED in xtask/src/instructions.rs"
    ))
}

fn count(accepts: u64) -> Result<u64> {
    let program = sh::cargo_target().join("release/accepts");
    let printed = Cmd::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(accepts.to_string())
        .output()?;
    collected(&printed).ok_or_else(|| format!("valgrind printed no count:\n{printed}"))
}

/// The number in valgrind's line `==1234== Collected : 56789`.
fn collected(printed: &str) -> Option<u64> {
    printed.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_valgrind_prints() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 75305904\n==7== \n"), Some(75_305_904));
        assert_eq!(collected("==7== Collected : \n"), None);
    }

    #[test]
    fn a_count_that_moved_is_told_in_both_directions() {
        for (counted, good) in [(100, true), (99, true), (101, true), (103, false), (97, false)] {
            assert_eq!(judge(EXPECTED * counted / 100).is_ok(), good, "{counted} %");
        }
    }
}
