//! Signature secrets: where one is written down, and the value, which never shows itself.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

/// Vonage's guide asks for "no less than 32 bits"; less is refused.
const SHORTEST_BYTES: usize = 4;

/// RFC 7518 section 3.2 asks for a key as long as the hash. Shorter works (the portal allows it) and warns once.
const RECOMMENDED_BYTES: usize = 32;

/// A signature secret: the raw bytes of its text, as the portal shows it (neither base64 nor hex).
///
/// It has no `Display`, its `Debug` hides it, and its memory is wiped when it goes.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes of a secret as its source has them.
    ///
    /// # Errors
    /// [`SecretProblem::TooShort`] below 4 bytes (an empty one too).
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretProblem> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() < SHORTEST_BYTES { Err(SecretProblem::TooShort) } else { Ok(Self(bytes)) }
    }

    /// The HMAC key; of a store's password, what the store is shown.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is shorter than RFC 7518 asks for.
    pub(crate) fn is_short(&self) -> bool {
        self.0.len() < RECOMMENDED_BYTES
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a secret could not be had. Says where to look, never what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretProblem {
    /// Not one of `env:NAME`, `file:PATH`, `text:VALUE`.
    NotAReference,
    /// The environment has no such variable.
    VariableNotSet,
    /// The file can't be read; the text is the system's reason.
    FileUnreadable(String),
    /// This host has no files (Envoy's sandbox).
    FilesUnsupported,
    /// Fewer than 4 bytes.
    TooShort,
}

impl fmt::Display for SecretProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAReference => f.write_str("expected env:NAME, file:PATH or text:VALUE"),
            Self::VariableNotSet => f.write_str("the environment variable is not set"),
            Self::FileUnreadable(reason) => write!(f, "the file can't be read: {reason}"),
            Self::FilesUnsupported => {
                f.write_str("file: is not available here (the sandbox has no files); use env:NAME")
            }
            Self::TooShort => write!(f, "the secret has fewer than {SHORTEST_BYTES} bytes"),
        }
    }
}

/// Where the host looks a secret up. The core knows what a reference means, the host how to follow it.
pub trait SecretSource {
    /// The bytes of an environment variable, whole; the core drops one trailing newline.
    ///
    /// # Errors
    /// [`SecretProblem::VariableNotSet`].
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem>;

    /// The bytes of a file, whole; the core drops one trailing newline.
    ///
    /// # Errors
    /// [`SecretProblem::FileUnreadable`], or [`SecretProblem::FilesUnsupported`].
    fn file(&self, path: &str) -> Result<Vec<u8>, SecretProblem>;
}

/// Nothing but what stands in the policy itself.
impl SecretSource for () {
    fn environment(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Err(SecretProblem::VariableNotSet)
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Err(SecretProblem::FilesUnsupported)
    }
}

/// A secret as the configuration names it.
#[derive(Clone)]
pub(crate) enum SecretReference {
    Environment(String),
    File(String),
    Text(Secret),
}

impl SecretReference {
    /// Reads `env:NAME`, `file:PATH` or `text:VALUE`. The text is not in the error: it may be a secret whose prefix was
    /// forgotten.
    pub(crate) fn parse(text: &str) -> Result<Self, SecretProblem> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("text", value)) => Secret::new(value.as_bytes().to_vec()).map(Self::Text),
            _ => Err(SecretProblem::NotAReference),
        }
    }

    /// Whether one newline at its end is dropped.
    pub(crate) fn drops_newline(&self) -> bool {
        !matches!(self, Self::Text(_))
    }

    pub(crate) fn resolve(&self, source: &dyn SecretSource) -> Result<Secret, SecretProblem> {
        match self {
            Self::Environment(name) => Secret::new(without_newline(source.environment(name)?)),
            Self::File(path) => Secret::new(without_newline(source.file(path)?)),
            Self::Text(secret) => Ok(secret.clone()),
        }
    }
}

/// Drops one newline at the end, `\n` or `\r\n`. Files end in one, and so does a variable that was made from a file (a
/// Kubernetes Secret, say); no secret of the portal does.
fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

impl fmt::Debug for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Text(_) => f.write_str("text:.."),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::*;

    /// The same bytes everywhere.
    struct Everywhere(&'static str);

    impl SecretSource for Everywhere {
        fn environment(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
            Ok(self.0.as_bytes().to_owned())
        }

        fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
            Ok(self.0.as_bytes().to_owned())
        }
    }

    #[test]
    fn one_newline_at_the_end_is_dropped_wherever_it_comes_from() {
        for reference in ["env:NAME", "file:/path"] {
            let reference = SecretReference::parse(reference).unwrap();
            for (written, kept) in [
                ("secret", "secret"),
                ("secret\n", "secret"),
                ("secret\r\n", "secret"),
                ("secret\n\n", "secret\n"),
                ("secret\r", "secret\r"),
                ("se\ncret", "se\ncret"),
                (" secret ", " secret "),
            ] {
                let secret = reference.resolve(&Everywhere(written)).unwrap();
                assert_eq!(secret.bytes(), kept.as_bytes(), "{reference:?}: {written:?}");
            }
            for short in ["abc\n", "abc\r\n", "\n", ""] {
                assert_eq!(reference.resolve(&Everywhere(short)).unwrap_err(), SecretProblem::TooShort, "{short:?}");
            }
        }
        // What stands in the policy itself is taken as it stands.
        let text = SecretReference::parse("text:secret\n").unwrap();
        assert_eq!(text.resolve(&()).unwrap().bytes(), b"secret\n");
    }
}
