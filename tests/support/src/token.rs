//! A signer of callback tokens that can also do everything wrong. Independent of the verifier, on purpose.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The account of every token that names no other.
pub const API_KEY: &str = "a1b2c3d";
/// The application of every token that names no other.
pub const APPLICATION_ID: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
/// The signature secret of the tables' policy `default`; long enough to raise no warning.
pub const SECRET: &str = "the-first-signature-secret-of-a1b2c3d";

/// What the signature is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: what Vonage uses.
    #[default]
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// An empty signature.
    #[serde(rename = "none")]
    None,
}

impl Algorithm {
    /// The `alg` header parameter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::None => "none",
        }
    }

    /// The signature (RFC 7515 section 5.1) of a signing input.
    ///
    /// # Panics
    /// Never: HMAC takes a secret of any length.
    #[must_use]
    pub fn sign(self, secret: &[u8], input: &[u8]) -> Vec<u8> {
        macro_rules! hmac {
            ($digest:ty) => {{
                let mut mac = Hmac::<$digest>::new_from_slice(secret).expect("HMAC takes a key of any length");
                mac.update(input);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        match self {
            Self::HS256 => hmac!(Sha256),
            Self::HS384 => hmac!(Sha384),
            Self::HS512 => hmac!(Sha512),
            Self::None => Vec::new(),
        }
    }
}

/// A change to the serialized token. Parts are numbered 0 (header), 1 (claims), 2 (signature); changes to the first two
/// are made before signing, so that the signature is good and only the named check can refuse the token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Text after the token.
    Append(String),
    /// The token ends before its second dot.
    DropSignaturePart,
    /// `=` up to a multiple of four; the part is made such that it needs one.
    Pad(usize),
    /// `+` and `/` for `-` and `_`; the part is made such that it has one of them.
    StandardAlphabet(usize),
    /// The unused last bits of the part are set; it is made such that there are some.
    TrailingBits(usize),
    /// Text in the middle of a part.
    Insert {
        /// Which part.
        part: usize,
        /// What.
        text: String,
    },
    /// The signature, cut or continued with zeros to this many bytes.
    SignatureLength(usize),
    /// This bit of the signature is flipped.
    FlipSignatureBit(usize),
    /// Header parameters set when the signature is made already.
    HeaderAfterSigning(Map<String, Value>),
    /// Claims set when the signature is made already.
    ClaimsAfterSigning(Map<String, Value>),
}

/// The lower-case hex SHA-256 of a body.
#[must_use]
pub fn payload_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// A UUID made from `seed`: the same seed gives the same one.
#[must_use]
pub fn uuid(seed: &str) -> String {
    let digest = payload_hash(seed.as_bytes());
    format!("{}-{}-4{}-8{}-{}", &digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32])
}

/// A `jti` no other call has returned.
#[must_use]
pub fn fresh_jti() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    // Random in each process. (A process has no number in wasm, where the core is measured too.)
    let process = RandomState::new().hash_one(nanos);
    uuid(&format!("{nanos} {process} {}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A token in the making.
#[derive(Clone, Debug)]
pub struct Token {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) secret: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    /// The header's JSON text instead of `header`; likewise the claims'.
    pub(crate) raw_header: Option<Vec<u8>>,
    pub(crate) raw_claims: Option<Vec<u8>>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) length: Option<usize>,
}

impl Token {
    /// What Vonage would send with `body` at `now` (seconds since 1970): a fresh `jti`, [`API_KEY`], [`APPLICATION_ID`].
    #[must_use]
    pub fn valid(body: &[u8], now: i64) -> Self {
        let claims = json!({
            "iat": now,
            "jti": fresh_jti(),
            "iss": "Vonage",
            "payload_hash": payload_hash(body),
            "api_key": API_KEY,
            "application_id": APPLICATION_ID,
        });
        Self {
            header: object(json!({ "alg": "HS256", "typ": "JWT" })),
            claims: object(claims),
            secret: SECRET.into(),
            algorithm: Algorithm::HS256,
            raw_header: None,
            raw_claims: None,
            edits: Vec::new(),
            length: None,
        }
    }

    /// Signed with another secret; [`SECRET`] otherwise.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = secret.into();
        self
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter, for instance an `alg` the signature was not made with.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Signs with another algorithm, and names it in `alg`.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.header("alg", algorithm.name())
    }

    /// Changes the serialized token.
    #[must_use]
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Makes the token this long, by a claim of no meaning.
    #[must_use]
    pub fn length(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// The `jti` claim, if it is a text.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.claims.get("jti")?.as_str()
    }

    /// The compact serialization.
    ///
    /// # Panics
    /// If the token can't be made so, for instance with the wanted length.
    #[must_use]
    pub fn sign(&self) -> String {
        self.try_sign().unwrap_or_else(|problem| panic!("{problem}"))
    }

    pub(crate) fn try_sign(&self) -> Result<String, String> {
        let header = self.raw_header.clone().unwrap_or_else(|| Value::from(self.header.clone()).to_string().into());
        let claims = self.raw_claims.clone().unwrap_or_else(|| Value::from(self.claims.clone()).to_string().into());
        let Some(length) = self.length else { return self.serialize(header, claims) };
        // Four characters carry three bytes, so a few steps around the right size meet every length there can be.
        let short = self.serialize(header.clone(), claims)?.len();
        let about = length.saturating_sub(short) / 4 * 3;
        for size in about.saturating_sub(24)..about + 8 {
            let padded = self.clone().claim("padding", "x".repeat(size));
            let token = self.serialize(header.clone(), Value::from(padded.claims).to_string().into())?;
            if token.len() == length {
                return Ok(token);
            }
        }
        Err(format!("no token of {length} characters can be made"))
    }

    fn serialize(&self, mut header: Vec<u8>, mut claims: Vec<u8>) -> Result<String, String> {
        // A blank behind the JSON text changes its encoding and, through the signature, that one's, but no meaning.
        for _ in 0..256 {
            let mut parts = [URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims), String::new()];
            match self.unfit(&parts, 0..2) {
                Some(0) => header.push(b' '),
                Some(_) => claims.push(b' '),
                None => {
                    self.edit_parts(&mut parts, 0..2);
                    parts[2] = URL_SAFE_NO_PAD.encode(self.signature(&parts));
                    if self.unfit(&parts, 2..3).is_none() {
                        self.edit_parts(&mut parts, 2..3);
                        self.edit_after_signing(&mut parts);
                        return Ok(self.joined(&parts));
                    }
                    claims.push(b' ');
                }
            }
        }
        Err("edits: no token fits them".into())
    }

    fn signature(&self, parts: &[String; 3]) -> Vec<u8> {
        let mut signature = self.algorithm.sign(&self.secret, parts[..2].join(".").as_bytes());
        for edit in &self.edits {
            match edit {
                Edit::SignatureLength(length) => signature.resize(*length, 0),
                Edit::FlipSignatureBit(bit) => signature[bit / 8] ^= 1 << (bit % 8),
                _ => {}
            }
        }
        signature
    }

    fn edit_after_signing(&self, parts: &mut [String; 3]) {
        for edit in &self.edits {
            let (part, members, changes) = match edit {
                Edit::HeaderAfterSigning(changes) => (0, &self.header, changes),
                Edit::ClaimsAfterSigning(changes) => (1, &self.claims, changes),
                _ => continue,
            };
            let mut members = members.clone();
            members.extend(changes.clone());
            parts[part] = URL_SAFE_NO_PAD.encode(Value::from(members).to_string());
        }
    }

    fn joined(&self, parts: &[String; 3]) -> String {
        let kept = if self.edits.contains(&Edit::DropSignaturePart) { 2 } else { 3 };
        let mut token = parts[..kept].join(".");
        for edit in &self.edits {
            if let Edit::Append(text) = edit {
                token.push_str(text);
            }
        }
        token
    }

    /// A part among `which` that an edit would leave as it is.
    fn unfit(&self, parts: &[String; 3], which: Range<usize>) -> Option<usize> {
        self.edits.iter().find_map(|edit| match edit {
            Edit::Pad(part) | Edit::TrailingBits(part) if which.contains(part) => {
                parts[*part].len().is_multiple_of(4).then_some(*part)
            }
            Edit::StandardAlphabet(part) if which.contains(part) => {
                (!parts[*part].contains(['-', '_'])).then_some(*part)
            }
            _ => None,
        })
    }

    fn edit_parts(&self, parts: &mut [String; 3], which: Range<usize>) {
        for edit in &self.edits {
            match edit {
                Edit::Pad(part) if which.contains(part) => {
                    while !parts[*part].len().is_multiple_of(4) {
                        parts[*part].push('=');
                    }
                }
                Edit::StandardAlphabet(part) if which.contains(part) => {
                    parts[*part] = parts[*part].replace('-', "+").replace('_', "/");
                }
                Edit::TrailingBits(part) if which.contains(part) => {
                    let last = parts[*part].pop().unwrap_or('A');
                    // Canonical last characters have their low bits clear, so the next letter of the alphabet sets one.
                    let index = ALPHABET.find(last).unwrap_or(0);
                    parts[*part].push_str(&ALPHABET[index + 1..index + 2]);
                }
                Edit::Insert { part, text } if which.contains(part) => {
                    let middle = parts[*part].len() / 2;
                    parts[*part].insert_str(middle, text);
                }
                _ => {}
            }
        }
    }
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The JSON text of an object without its braces.
pub(crate) fn members(object: &Map<String, Value>) -> String {
    let text = Value::from(object.clone()).to_string();
    text.trim_start_matches('{').strip_suffix('}').unwrap_or_default().to_owned()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
