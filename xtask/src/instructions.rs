//! `cargo xtask instructions`: how many instructions the core takes to accept one callback, and to refuse those that
//! anybody can send. Unlike a time, that number is the same on a busy machine, so a change of a few hundredths shows.
//!
//! Valgrind's processor has no SHA instructions: the count is of SHA-256 in plain code, as in the sandbox.

use crate::sh::{self, Cmd, Result};

/// Per accepted callback with a body of 228 bytes, by rustc 1.95 and glibc 2.36 on x86-64, on 2026-11-26. A change that
/// moves it on purpose sets it anew.
const EXPECTED: u64 = 53_504;

/// Another glibc or a patch release of the compiler moves the count by less.
const TOLERANCE_PERCENT: u64 = 2;

/// Two runs, whose difference leaves out what starting and stopping takes.
const ACCEPTS: [u64; 2] = [200, 1200];

/// The same for refusals, of which many take ten times as long.
const REFUSALS: [u64; 2] = [2, 12];

/// What refusals of a set may cost beside its first.
#[derive(Debug, PartialEq, Eq)]
enum Bound {
    /// As much, within so many hundredths: which account there is can't be told from the time.
    Same(u64),
    /// At most so many hundredths of it: nobody keeps a proxy busy with a few kilobytes.
    AtMost(u64),
}

/// By the first word of a set's name.
fn bound(set: &str) -> Bound {
    if set.starts_with("accounts") { Bound::Same(1) } else { Bound::AtMost(150) }
}

/// Counts, prints, and fails if a count has moved, in either direction, or a refusal costs what it may not.
pub(crate) fn run() -> Result<()> {
    if !sh::on_path("valgrind") {
        return Err("valgrind is missing: `apt-get install valgrind`".into());
    }
    Cmd::cargo(["build", "--release", "-p", "secure-callbacks-micro", "--bins"]).shown()?;
    let counted = count("accepts", &[], ACCEPTS)?;
    let moved = (i128::from(counted) - i128::from(EXPECTED)) as f64 * 100.0 / EXPECTED as f64;
    println!("{counted} instructions per accepted callback ({moved:+.1} % of the {EXPECTED} noted)");
    let refusals = refusals();
    judge(counted)?;
    refusals
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

fn refusals() -> Result<()> {
    let listed = Cmd::new(program("refused")).output()?;
    let (mut set, mut first, mut bad) = ("", 0, Vec::new());
    for line in listed.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [number, of, name] = fields.as_slice() else { return Err(format!("no case: {line}")) };
        let counted = count("refused", &[number], REFUSALS)?;
        if *of != set {
            (set, first) = (of, counted);
            println!("instructions per refused callback, {set}:");
        }
        let good = is_within(&bound(set), counted, first);
        let ratio = counted as f64 / first as f64;
        println!("{counted:>9}  {ratio:.3}  {name}{}", if good { "" } else { "  <- too far from the first" });
        if !good {
            bad.push(format!("{set}: {name} ({ratio:.3})"));
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(format!("refusals that cost what they may not: {}", bad.join(", "))) }
}

fn is_within(bound: &Bound, counted: u64, first: u64) -> bool {
    match bound {
        Bound::Same(percent) => counted.abs_diff(first) * 100 <= first * percent,
        Bound::AtMost(percent) => counted * 100 <= first * percent,
    }
}

fn program(name: &str) -> std::path::PathBuf {
    sh::cargo_target().join("release").join(name)
}

/// What one of many takes.
fn count(name: &str, arguments: &[&str], [few, many]: [u64; 2]) -> Result<u64> {
    let counted = |times: u64| {
        let printed = Cmd::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program(name))
            .args(arguments)
            .arg(times.to_string())
            .output()?;
        collected(&printed).ok_or_else(|| format!("valgrind printed no count:\n{printed}"))
    };
    Ok(counted(many)?.saturating_sub(counted(few)?) / (many - few))
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

    #[test]
    fn accounts_cost_the_same_and_no_token_half_as_much_again() {
        for (set, counted, good) in [
            ("accounts of 8 KiB", 1_000, true),
            ("accounts", 1_010, true),
            ("accounts", 990, true),
            ("accounts", 1_011, false),
            ("accounts", 989, false),
            ("8 KiB", 1_500, true),
            ("8 KiB", 1_501, false),
            ("8 KiB", 100, true),
        ] {
            assert_eq!(is_within(&bound(set), counted, 1_000), good, "{set} {counted}");
        }
    }
}
