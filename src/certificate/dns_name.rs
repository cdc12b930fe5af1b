//! DNS names of a certificate against a policy's (RFC 6125 section 6.4).

use alloc::string::String;

use crate::problem::Problem;

/// A DNS name as a policy writes it, in lower case: whole, or with `*.` for one leading label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsPattern {
    wildcard: bool,
    /// The name, or what follows the `*.`.
    name: String,
}

impl DnsPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        const EXPECTED: Problem = Problem::Expected("a DNS name such as `callbacks.opentok.com` or `*.opentok.com`");
        let name = text.strip_prefix("*.");
        let (wildcard, name) = (name.is_some(), name.unwrap_or(text));
        // `*.com` would take every name there is under it.
        let too_wide = wildcard && !name.contains('.');
        if name.len() > 253 || too_wide || !name.split('.').all(is_label) {
            return Err(EXPECTED);
        }
        Ok(Self { wildcard, name: name.to_ascii_lowercase() })
    }

    /// Whether it stands for a certificate's name. A wildcard is one whole label: not none, and not two.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let compared = if self.wildcard {
            let point = name.iter().position(|byte| *byte == b'.');
            match point.and_then(|point| name.split_at_checked(point)) {
                Some((label, rest)) if !label.is_empty() => rest.strip_prefix(b".").unwrap_or_default(),
                _ => return false,
            }
        } else {
            name
        };
        compared.eq_ignore_ascii_case(self.name.as_bytes())
    }
}

/// Letters, digits, hyphens and underscores; an internationalised name is written in its `xn--` form.
fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=63).contains(&label.len()) && label.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_one_label() {
        for (pattern, name, expected) in [
            ("callbacks.opentok.com", "callbacks.opentok.com", true),
            ("Callbacks.OpenTok.com", "callbacks.opentok.COM", true),
            ("callbacks.opentok.com", "callbacks.opentok.com.evil.net", false),
            ("callbacks.opentok.com", "xcallbacks.opentok.com", false),
            ("callbacks.opentok.com", "*.opentok.com", false),
            ("*.opentok.com", "callbacks.opentok.com", true),
            ("*.opentok.com", "*.opentok.com", true),
            ("*.opentok.com", "opentok.com", false),
            ("*.opentok.com", ".opentok.com", false),
            ("*.opentok.com", "a.b.opentok.com", false),
            ("*.opentok.com", "callbacks.opentok.com\0.evil.net", false),
            ("*.opentok.com", "callbacksopentok.com", false),
            ("*.opentok.com", "", false),
        ] {
            assert_eq!(DnsPattern::parse(pattern).unwrap().matches(name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "*", "*.", "*.com", "a.*.com", "*.*.com", "a..b", ".a.b", "a.b.", "a b.c", "f*.a.b", "é.fr"] {
            assert!(DnsPattern::parse(text).is_err(), "{text}");
        }
    }
}
