//! Unique ids: every request carries one in its path, so that whatever reaches the upstream can be traced to it.
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What every id starts with, so that ids can be found in a stream of bytes.
pub const MARK: &[u8] = b"scid";

/// The length of an id in bytes: the mark and 16 hex digits.
pub const LENGTH: usize = MARK.len() + 16;

/// A new id: no two are alike in one process, and hardly in two.
#[must_use]
pub fn unique() -> String {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = *PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()) as u32);
    format!("scid{process:08x}{:08x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Every id in `bytes`, in order.
pub fn find(bytes: &[u8]) -> impl Iterator<Item = &str> {
    memchr::memmem::find_iter(bytes, MARK)
        .filter_map(move |start| std::str::from_utf8(bytes.get(start..start + LENGTH)?).ok())
        .filter(|id| id.bytes().skip(MARK.len()).all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_where_they_are() {
        let (first, second) = (unique(), unique());
        assert_ne!(first, second);
        let text = format!("POST /x/{first}?again={second} scid0123 HTTP/1.1 scid");
        assert_eq!(find(text.as_bytes()).collect::<Vec<_>>(), [first, second]);
    }
}
