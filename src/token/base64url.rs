//! Canonical base64url (RFC 4648 section 5): no padding, no other alphabet, no bits left over.

use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::code::Rejection;

/// The bytes of a part.
pub(super) fn decode(part: &[u8]) -> Result<Vec<u8>, Rejection> {
    // `decode` asks for zeroed memory, and some allocators go a longer way for that than for memory that is then zeroed.
    let mut bytes = Vec::with_capacity(part.len());
    URL_SAFE_NO_PAD.decode_vec(part, &mut bytes).map_err(|_| Rejection::TokenMalformed)?;
    Ok(bytes)
}

/// Whether [`decode`] would take a part whose bytes are not asked for: `jsonwebtoken` decodes the signature itself.
pub(super) fn is_canonical(part: &[u8]) -> bool {
    let whole = match (part.len() % 4, part.last()) {
        (0, _) => true,
        // Four bits are left over, then two: characters whose last bits are zero.
        (2, Some(last)) => b"AQgw".iter().any(|end| end == last),
        (3, Some(last)) => b"AEIMQUYcgkosw048".iter().any(|end| end == last),
        _ => false,
    };
    // Looked at to the end, which a compiler turns into a few steps of many bytes each; `all` would go byte by byte.
    whole && part.iter().fold(true, |all, byte| all & (byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree(part: &str) {
        assert_eq!(is_canonical(part.as_bytes()), decode(part.as_bytes()).is_ok(), "{part:?}");
    }

    proptest! {
        #[test]
        fn both_agree_on_any_text(part in any::<alloc::string::String>()) {
            agree(&part);
        }

        #[test]
        fn both_agree_close_to_the_alphabet(part in "[A-Za-z0-9_+/=-]{0,50}") {
            agree(&part);
        }
    }

    #[test]
    fn both_agree_on_every_last_character() {
        for start in ["", "A", "AA", "AAA"] {
            for last in '\0'..='\u{ff}' {
                agree(&alloc::format!("{start}{last}"));
                agree(&alloc::format!("AAAA{start}{last}"));
            }
        }
    }
}
