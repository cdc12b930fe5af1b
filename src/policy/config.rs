//! The fields of a policy, as they are written: the one reader of both forms.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use super::fields::Fields;
use super::shared_store::{self, SharedStoreConfig};
use super::{lines, strict_json};
use crate::certificate::{CertificateRule, DnsPattern, WantedSubject, parse_fingerprint};
use crate::code::Status;
use crate::identity::is_plain;
use crate::names::is_identity_header;
use crate::problem::{PolicyError, Problem};
use crate::secret::SecretReference;
use crate::source::{SourceAddresses, parse_network};

/// The name of a policy that has none.
pub(super) const DEFAULT_NAME: &str = "default";

/// The token's usual header.
pub(super) const AUTHORIZATION: &str = "authorization";

/// Replay tables of up to 16,777,216 callbacks take up to 768 MiB; more is a mistake.
const MOST_REMEMBERED: u64 = 1 << 24;

/// What happens to a callback that fails a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is forwarded; the verdict is only recorded.
    Report,
}

/// When the body must match the `payload_hash` claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadHashRule {
    /// Always; a token without the claim is refused.
    Required,
    /// When the token has the claim.
    WhenPresent,
    /// Never (TLS end to end vouches for the body).
    Ignored,
}

/// What the `payload_hash` claim is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// The body.
    Body,
    /// Of a GET the query's parameters, of all else the body.
    Query,
}

/// An account, as it is written.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    pub(super) api_key: String,
    pub(super) secrets: Vec<SecretReference>,
    pub(super) applications: Option<Vec<String>>,
}

/// A policy as it is written, every field checked but the secrets not yet looked up.
#[derive(Debug, Clone)]
pub struct PolicyConfig {
    pub(super) name: Option<String>,
    pub(super) mode: Mode,
    pub(super) accounts: Vec<AccountConfig>,
    pub(super) token_header: String,
    pub(super) issuer: String,
    pub(super) max_age: i64,
    pub(super) leeway: i64,
    pub(super) payload: Payload,
    pub(super) payload_hash: PayloadHashRule,
    pub(super) max_body_size: u64,
    pub(super) replay: bool,
    pub(super) replay_capacity: u32,
    pub(super) replay_store: Option<SharedStoreConfig>,
    pub(super) missing_token_status: Status,
    pub(super) expose_reason: bool,
    pub(super) realm: String,
    pub(super) client_certificate: Option<CertificateRule>,
    pub(super) source_addresses: Option<SourceAddresses>,
}

impl PolicyConfig {
    /// Reads a policy from JSON text.
    ///
    /// # Errors
    /// The first bad entry, by its place.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        Self::from_value(strict_json::parse(text)?)
    }

    /// Reads a policy from lines of words, each a field's name and its values; `name` is the block's.
    ///
    /// # Errors
    /// The first bad entry, by its place.
    pub fn from_lines(name: &str, lines: &[lines::Line]) -> Result<Self, PolicyError> {
        Self::from_value(lines::to_value(name, lines)?)
    }

    /// Reads a policy from a tree of values.
    ///
    /// # Errors
    /// The first bad entry, by its place.
    pub fn from_value(value: Value) -> Result<Self, PolicyError> {
        let mut fields = Fields::of(value, "")?;
        let replay = fields.flag("replay").unwrap_or(true);
        let config = Self {
            name: fields.text("name", policy_name),
            mode: fields.text("mode", mode).unwrap_or(Mode::Enforce),
            accounts: accounts(&mut fields),
            token_header: fields.text("token_header", token_header).unwrap_or_else(|| AUTHORIZATION.into()),
            issuer: fields.text("issuer", filled).unwrap_or_else(|| "Vonage".into()),
            max_age: fields.seconds("max_age").unwrap_or(300),
            leeway: fields.seconds("leeway").unwrap_or(30),
            payload: fields.text("payload", payload).unwrap_or(Payload::Body),
            payload_hash: fields.text("payload_hash", payload_hash).unwrap_or(PayloadHashRule::Required),
            max_body_size: fields.bytes("max_body_size").unwrap_or(1 << 20),
            replay,
            replay_capacity: replay_capacity(&mut fields),
            replay_store: shared_store::read(&mut fields, replay),
            missing_token_status: missing_token_status(&mut fields),
            expose_reason: fields.flag("expose_reason").unwrap_or(false),
            realm: fields.text("realm", realm).unwrap_or_else(|| "callbacks".into()),
            client_certificate: client_certificate(&mut fields),
            source_addresses: fields.texts("source_addresses", parse_network).map(SourceAddresses::new),
        };
        fields.finish()?;
        Ok(config)
    }
}

/// What is wrong with any of them is noted.
fn accounts(fields: &mut Fields) -> Vec<AccountConfig> {
    const NAME: &str = "accounts";
    let values = fields.list(NAME);
    let mut accounts: Vec<AccountConfig> = Vec::new();
    for (index, value) in fields.required(NAME, values).into_iter().enumerate() {
        match Fields::of(value, &format!("{NAME}[{index}]")).and_then(account) {
            Ok(account) if accounts.iter().any(|other| other.api_key == account.api_key) => {
                fields.wrong(&format!("{NAME}[{index}].api_key"), Problem::DuplicateAccount);
            }
            Ok(account) => accounts.push(account),
            Err(error) => fields.note(error),
        }
    }
    accounts
}

fn account(mut fields: Fields) -> Result<AccountConfig, PolicyError> {
    let api_key = fields.text("api_key", plain);
    let api_key = fields.required("api_key", api_key);
    let secrets = fields.texts("secrets", |text| Ok(SecretReference::parse(text)?));
    let secrets = fields.required("secrets", secrets);
    let applications = fields.texts("applications", plain);
    fields.finish()?;
    Ok(AccountConfig { api_key, secrets, applications })
}

/// A rule that names nothing would trust whatever the proxy's authorities ever signed.
fn client_certificate(fields: &mut Fields) -> Option<CertificateRule> {
    const NAME: &str = "client_certificate";
    let mut kinds = Fields::of(fields.take(NAME)?, NAME).map_err(|error| fields.note(error)).ok()?;
    let rule = CertificateRule {
        subjects: kinds.texts("subjects", WantedSubject::from_policy).unwrap_or_default(),
        dns_names: kinds.texts("dns_names", DnsPattern::parse).unwrap_or_default(),
        fingerprints: kinds.texts("sha256_fingerprints", parse_fingerprint).unwrap_or_default(),
    };
    if let Err(error) = kinds.finish() {
        fields.note(error);
    }
    if rule.subjects.is_empty() && rule.dns_names.is_empty() && rule.fingerprints.is_empty() {
        fields.wrong(NAME, Problem::Expected("`subjects`, `dns_names` or `sha256_fingerprints`"));
    }
    Some(rule)
}

fn replay_capacity(fields: &mut Fields) -> u32 {
    let count = fields.count("replay_capacity", 1, MOST_REMEMBERED);
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(65_536)
}

fn missing_token_status(fields: &mut Fields) -> Status {
    const NAME: &str = "missing_token_status";
    match fields.count(NAME, 0, u64::MAX) {
        Some(503) => Status::ServiceUnavailable,
        None | Some(401) => Status::Unauthorized,
        Some(_) => {
            fields.wrong(NAME, Problem::NotOneOf(&["401", "503"]));
            Status::Unauthorized
        }
    }
}

fn mode(text: &str) -> Result<Mode, Problem> {
    match text {
        "enforce" => Ok(Mode::Enforce),
        "report" => Ok(Mode::Report),
        _ => Err(Problem::NotOneOf(&["enforce", "report"])),
    }
}

fn payload(text: &str) -> Result<Payload, Problem> {
    match text {
        "body" => Ok(Payload::Body),
        "query" => Ok(Payload::Query),
        _ => Err(Problem::NotOneOf(&["body", "query"])),
    }
}

fn payload_hash(text: &str) -> Result<PayloadHashRule, Problem> {
    match text {
        "required" => Ok(PayloadHashRule::Required),
        "when_present" => Ok(PayloadHashRule::WhenPresent),
        "ignored" => Ok(PayloadHashRule::Ignored),
        _ => Err(Problem::NotOneOf(&["required", "when_present", "ignored"])),
    }
}

/// A name that is at home in a metric's label, in a log line and in a shared zone's name.
fn policy_name(text: &str) -> Result<String, Problem> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match text {
        "" => Err(Problem::Empty),
        _ if text.len() <= 64 && text.bytes().all(fits) => Ok(text.into()),
        _ => Err(Problem::Characters("up to 64 letters, digits, `_` and `-`")),
    }
}

/// A value that is compared with a claim and then goes into a header and a log line.
fn plain(text: &str) -> Result<String, Problem> {
    match text {
        "" => Err(Problem::Empty),
        _ if is_plain(text) => Ok(text.into()),
        _ => Err(Problem::Characters("up to 256 visible ASCII characters")),
    }
}

fn filled(text: &str) -> Result<String, Problem> {
    if text.is_empty() { Err(Problem::Empty) } else { Ok(text.into()) }
}

/// What may stand between the quotes of a challenge without an escape (RFC 9110 section 5.6.4).
fn realm(text: &str) -> Result<String, Problem> {
    let fits = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
    match text {
        "" => Err(Problem::Empty),
        _ if text.bytes().all(fits) => Ok(text.into()),
        _ => Err(Problem::Characters("visible ASCII characters and blanks, without `\"` and `\\`,")),
    }
}

/// A field name (RFC 9110 section 5.1), in lower case as both hosts look it up.
fn token_header(text: &str) -> Result<String, Problem> {
    /// What the proxy itself reads or rewrites.
    const OWNED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "expect", "te"];
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = text.to_ascii_lowercase();
    match text {
        "" => Err(Problem::Empty),
        _ if !text.bytes().all(fits) => Err(Problem::Characters("the characters of a header's name")),
        _ if OWNED.contains(&name.as_str()) || is_identity_header(name.as_bytes()) => Err(Problem::ReservedHeader),
        _ => Ok(name.to_string()),
    }
}
