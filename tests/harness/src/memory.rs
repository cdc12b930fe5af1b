//! What a core dump of a process would hold: its readable memory, searched while it runs.
use anyhow::{Context, Result};
use memchr::memmem;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// How much is looked at at once.
const STEP: usize = 1 << 20;
const STEP_BYTES: u64 = 1 << 20;

/// Where a text was found: by the name of the mapping (`[heap]`, `[stack]`, a file, empty for memory without a name),
/// how many times.
pub type Places = BTreeMap<String, usize>;

/// Looks for each of `needles` in all memory of `pid` that can be read. More than a core dump has, which leaves out what
/// stands in files anyway.
pub fn search(pid: i32, needles: &[&[u8]]) -> Result<Vec<Places>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).context("the memory map")?;
    let memory = File::open(format!("/proc/{pid}/mem")).context("the memory")?;
    let pages = File::open(format!("/proc/{pid}/pagemap")).context("the page map")?;
    let finders: Vec<_> = needles.iter().map(memmem::Finder::new).collect();
    let overlap = needles.iter().map(|needle| needle.len()).max().unwrap_or(1).saturating_sub(1);
    let mut found = vec![Places::new(); needles.len()];
    let mut buffer = vec![0; STEP + overlap];
    for mapping in maps.lines() {
        let mut fields = mapping.split_ascii_whitespace();
        let (range, rights) = (fields.next().context("a range")?, fields.next().context("rights")?);
        let name = fields.nth(3).unwrap_or_default();
        // The kernel's own pages refuse.
        if !rights.starts_with('r') || name.starts_with("[v") {
            continue;
        }
        let (start, end) = range.split_once('-').context("a range")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut position = start;
        while position < end {
            if !in_memory(&pages, position, (end - position).min(STEP_BYTES))? {
                position += STEP_BYTES;
                continue;
            }
            let wanted = usize::try_from(end - position)?.min(buffer.len());
            // Gone since, or a file that has become shorter: not in a core dump either.
            let Ok(read) = memory.read_at(&mut buffer[..wanted], position) else { break };
            if read == 0 {
                break;
            }
            let fresh = read.min(STEP);
            for (finder, places) in finders.iter().zip(&mut found) {
                // What begins in the overlap is found in the next round.
                let count = finder.find_iter(&buffer[..read]).filter(|at| *at < fresh).count();
                if count > 0 {
                    *places.entry(name.to_owned()).or_default() += count;
                }
            }
            position += u64::try_from(fresh)?;
        }
    }
    Ok(found)
}

/// Whether any page of these is in memory or swapped out. V8 reserves gigabytes that it never touches.
fn in_memory(pages: &File, start: u64, length: u64) -> Result<bool> {
    let page = u64::try_from(rustix::param::page_size())?;
    let (first, last) = (start / page, (start + length).div_ceil(page));
    let mut entries = vec![0; usize::try_from(last - first)? * 8];
    pages.read_exact_at(&mut entries, first * 8)?;
    // The two highest bits of each little-endian entry: present, swapped.
    Ok(entries.chunks_exact(8).any(|entry| entry[7] & 0xc0 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of another process: in one's own, the search would find what it has just read.
    #[test]
    fn what_is_in_memory_is_found_and_nothing_else() {
        let [held, other] = ["held", "other"].map(|name| secure_callbacks_support::token::uuid(name).into_bytes());
        let mut child = std::process::Command::new("sleep");
        let mut child = child.arg("60").env("HELD", std::str::from_utf8(&held).unwrap()).spawn().unwrap();
        let pid = child.id().try_into().unwrap();
        // The new program's memory is there as soon as its own environment is.
        let environment = || std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        while memmem::find(&environment(), &held).is_none() {
            std::thread::yield_now();
        }
        let found = search(pid, &[&held, &other]);
        child.kill().unwrap();
        child.wait().unwrap();
        let found = found.unwrap();
        assert_eq!(found[0].get("[stack]"), Some(&1), "{found:?}");
        assert!(found[1].is_empty(), "{found:?}");
    }
}
