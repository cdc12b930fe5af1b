//! The serialized form of header maps (proxy-wasm ABI 0.2.1): a count, the size of each name and value, then each name
//! and value with a zero byte after it. Read in place, without a copy of each field.

const NUMBER_BYTES: usize = 4;

/// Shows each pair; `None` if the bytes are no such map. Pairs before the fault were shown.
#[must_use]
pub fn read(map: &[u8], show: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    if map.is_empty() {
        return Some(());
    }
    let (count, rest) = number(map)?;
    let (mut sizes, mut texts) = rest.split_at_checked(count.checked_mul(2 * NUMBER_BYTES)?)?;
    for _ in 0..count {
        let (name_size, after) = number(sizes)?;
        let (value_size, after) = number(after)?;
        sizes = after;
        let (name, after) = text(texts, name_size)?;
        let (value, after) = text(after, value_size)?;
        texts = after;
        show(name, value);
    }
    Some(())
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    let (&0, rest) = rest.split_first()? else { return None };
    Some((text, rest))
}

/// Serializes pairs.
#[must_use]
pub fn write(pairs: &[(&str, &str)]) -> Vec<u8> {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut map = size(pairs.len()).to_vec();
    for (name, value) in pairs {
        map.extend(size(name.len()));
        map.extend(size(value.len()));
    }
    for (name, value) in pairs {
        map.extend(name.bytes().chain([0]));
        map.extend(value.bytes().chain([0]));
    }
    map
}
