//! What may be said of a name that stands in a configuration and that nothing has: it may be a secret in the wrong place.

/// The longest name that is shown.
const LONGEST: usize = 32;

/// How many letters, side by side, a name and the one that was meant may differ in.
const SLIP: usize = 2;

/// Whether a name can be shown in a message: it has the form of a field's name, which hardly a secret has.
#[must_use]
pub fn is_shown(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The one of `known` that was meant by `name`, if one is close: all that differs is up to two letters side by side, and
/// something is alike. One letter too many, too few, another or two that are swapped are such slips.
#[must_use]
pub fn close<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let differing = |other: &str| {
        let alike = |pair: &(u8, u8)| pair.0 == pair.1;
        let shorter = name.len().min(other.len());
        let before = name.bytes().zip(other.bytes()).take_while(alike).count();
        let after = name.bytes().rev().zip(other.bytes().rev()).take(shorter - before).take_while(alike).count();
        (before + after > 0).then(|| name.len().max(other.len()) - before - after)
    };
    let best =
        known.iter().filter_map(|other| Some((differing(other)?, *other))).min_by_key(|(letters, _)| *letters)?;
    (best.0 <= SLIP).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_field_s_name_is_shown() {
        for name in ["colour", "max_agee", "_", &"a".repeat(32)] {
            assert!(is_shown(name), "{name}");
        }
        for name in ["", "s3cret", "Secret", "my-secret", "a b", "a=b", "text:abcd", "geheimnis-ü", &"a".repeat(33)] {
            assert!(!is_shown(name), "{name}");
        }
    }

    #[test]
    fn a_slip_is_found_and_nothing_else() {
        const KNOWN: [&str; 6] = ["account", "mode", "max_age", "max_body_size", "replay", "replay_capacity"];
        for (name, meant) in [
            ("acount", Some("account")),
            ("accounts", Some("account")),
            ("accuont", Some("account")),
            ("Account", Some("account")),
            ("moed", Some("mode")),
            ("max_agee", Some("max_age")),
            ("max-age", Some("max_age")),
            ("replay_capactiy", Some("replay_capacity")),
            ("replays", Some("replay")),
            ("colour", None),
            ("ab", None),
            ("", None),
            ("max_size", None),
            ("ümlaut", None),
        ] {
            assert_eq!(close(name, &KNOWN), meant, "{name}");
        }
    }
}
