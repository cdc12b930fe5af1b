//! Header maps as they cross the border of the sandbox: what is written can be read, and odd bytes only fail.

use proptest::prelude::*;
use secure_callbacks_envoy_wasm::pairs::{read, write};

fn all(map: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = Vec::new();
    read(map, &mut |name, value| pairs.push((name.to_vec(), value.to_vec())))?;
    Some(pairs)
}

proptest! {
    #[test]
    fn what_is_written_is_read(pairs in proptest::collection::vec((".{0,9}", ".{0,9}"), 0..6)) {
        let written = write(&pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>());
        let expected = pairs.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect();
        prop_assert_eq!(all(&written), Some(expected));
        // Cut anywhere it is no map any more.
        for end in 1..written.len() {
            prop_assert_eq!(all(&written[..end]), None);
        }
    }

    #[test]
    fn odd_bytes_never_panic(mut bytes in any::<Vec<u8>>(), small in any::<bool>()) {
        if small && bytes.len() > 3 {
            bytes[..4].copy_from_slice(&[1, 0, 0, 0]);
        }
        let _ = all(&bytes);
    }
}

#[test]
fn nothing_is_an_empty_map() {
    assert_eq!(all(b""), Some(vec![]));
    assert_eq!(all(&[0; 4]), Some(vec![]));
}
