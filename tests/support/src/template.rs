//! Placeholders, `${name}`: in the configurations of the bench, and in the tables, where they are what is known only when
//! a request is sent, and bytes that JSON can't hold:
//!
//! `${now}` `${iat}` `${jti}` `${payload_hash}` `${PAYLOAD_HASH}` `${token}`; `${group}` is the same in a row's request
//! and in those before it; `${header}` and `${claims}` are the members that would have been sent, without the braces;
//! `${byte:ff}` is that one raw byte and `${repeat:TEXT:N}` is TEXT, N times.

/// `template` with every placeholder replaced by its value. One without a value is an error, so that no typing slip gets
/// through.
///
/// # Errors
/// The placeholder that is wrong.
pub fn fill<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, String> {
    let filled = replace(template, |name, filled| value(name).map(|value| filled.extend_from_slice(value.as_bytes())))?;
    String::from_utf8(filled).map_err(|error| format!("{template:?}: {error}"))
}

fn replace(template: &str, mut value: impl FnMut(&str, &mut Vec<u8>) -> Option<()>) -> Result<Vec<u8>, String> {
    let mut filled = Vec::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        filled.extend_from_slice(before.as_bytes());
        let (name, after) = after.split_once('}').ok_or_else(|| format!("unclosed placeholder in {template:?}"))?;
        value(name, &mut filled).ok_or_else(|| format!("unknown placeholder ${{{name}}}"))?;
        rest = after;
    }
    filled.extend_from_slice(rest.as_bytes());
    Ok(filled)
}

/// The values of one sending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) now: i64,
    pub(crate) iat: i64,
    pub(crate) jti: String,
    pub(crate) group: String,
    pub(crate) payload_hash: String,
    pub(crate) token: String,
    pub(crate) header: String,
    pub(crate) claims: String,
}

impl Values {
    /// `template` with every placeholder replaced.
    pub(crate) fn fill(&self, template: &str) -> Result<Vec<u8>, String> {
        replace(template, |name, filled| self.value(name, filled))
    }

    /// The same where only text will do.
    pub(crate) fn fill_text(&self, template: &str) -> Result<String, String> {
        String::from_utf8(self.fill(template)?).map_err(|error| format!("{template:?}: {error}"))
    }

    fn value(&self, name: &str, filled: &mut Vec<u8>) -> Option<()> {
        if let Some(byte) = name.strip_prefix("byte:") {
            filled.push(u8::from_str_radix(byte, 16).ok()?);
            return Some(());
        }
        if let Some(repeat) = name.strip_prefix("repeat:") {
            let (text, times) = repeat.rsplit_once(':')?;
            filled.extend(text.repeat(times.parse().ok()?).into_bytes());
            return Some(());
        }
        let value = match name {
            "now" => self.now.to_string(),
            "iat" => self.iat.to_string(),
            "jti" => self.jti.clone(),
            "group" => self.group.clone(),
            "header" => self.header.clone(),
            "claims" => self.claims.clone(),
            "payload_hash" => self.payload_hash.clone(),
            "PAYLOAD_HASH" => self.payload_hash.to_uppercase(),
            "token" => self.token.clone(),
            _ => return None,
        };
        filled.extend_from_slice(value.as_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn names_are_replaced_and_unknown_ones_refused() {
        let value = |name: &str| (name == "port").then_some("8080");
        assert_eq!(fill("listen ${port}; # ${port} $port", value).unwrap(), "listen 8080; # 8080 $port");
        assert!(fill("${other}", value).is_err());
        assert!(fill("${port", value).is_err());
    }
}
