//! The plugin's configuration into a policy at work. Envoy hands over a `google.protobuf.StringValue` as its text and a
//! `google.protobuf.Struct` as raw protobuf.

use std::fmt::Write as _;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as StructValue};
use secure_callbacks::problem::Problem;
use secure_callbacks::{Policy, PolicyConfig, PolicyError, SecretProblem, SecretSource, UnixSeconds};
use secure_callbacks_envoy::{Host, Protection};
use serde_json::{Map, Value};

use crate::metrics::{Metrics, Registry};
use crate::replay::Tables;
use crate::shared_data::{SharedData, is_news, key};

/// How a serialized `Struct` starts: the tag of its only field. It is also a line feed, which JSON text may start with;
/// then the bytes after it do not decode.
const STRUCT_TAG: u8 = 0x0a;

/// Reads a plugin's configuration and makes ready what it asks for.
///
/// # Errors
/// The first bad entry, by its place.
pub fn configure<H: Host<Metrics = Metrics, Store = Tables>>(
    configuration: &[u8],
    secrets: &dyn SecretSource,
    host: &(impl SharedData + Registry),
    now: UnixSeconds,
) -> Result<Protection<H>, PolicyError> {
    let policy = read(configuration)?.resolve(secrets)?;
    // Without shared data there is no store.
    let tables = if policy.replay() { Tables::open(&policy, host, now) } else { None };
    let metrics = Metrics::define(policy.name(), policy.replay(), host);
    Ok(Protection::new(policy, metrics, tables))
}

/// The policy's warnings as one text, a line each; none if there are none, or if another worker has told the same.
pub fn warnings_to_tell(policy: &Policy, data: &impl SharedData) -> Option<String> {
    let mut text = String::new();
    for warning in policy.warnings() {
        let _ = writeln!(text, "{warning}");
    }
    let is_told = !text.is_empty() && is_news(data, &key(policy.name(), "warnings"), text.as_bytes());
    is_told.then_some(text)
}

/// Reads a policy from the bytes of a plugin's configuration.
///
/// # Errors
/// The first bad entry, by its place.
pub fn read(bytes: &[u8]) -> Result<PolicyConfig, PolicyError> {
    if bytes.trim_ascii().is_empty() {
        return Err(PolicyError::new("", Problem::Empty));
    }
    if bytes.first() == Some(&STRUCT_TAG)
        && let Ok(fields) = Struct::decode(bytes)
    {
        return PolicyConfig::from_value(object(fields));
    }
    match str::from_utf8(bytes) {
        Ok(text) => PolicyConfig::from_json(text),
        Err(_) => Err(PolicyError::new("", Problem::Expected("JSON text or a google.protobuf.Struct"))),
    }
}

fn object(fields: Struct) -> Value {
    let mut object = Map::new();
    // One by one: `collect` would sort them first, though they are sorted, and that is 5 KB of the module.
    for (name, field) in fields.fields {
        object.insert(name, value(field));
    }
    Value::Object(object)
}

fn value(value: StructValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::StructValue(fields)) => object(fields),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(self::value).collect()),
    }
}

/// Secrets in the sandbox: the environment that `vm_config` lets through, and no files.
#[derive(Debug, Clone, Copy)]
pub struct SandboxSecrets;

impl SecretSource for SandboxSecrets {
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretProblem> {
        std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes).ok_or(SecretProblem::VariableNotSet)
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SecretProblem> {
        Err(SecretProblem::FilesUnsupported)
    }
}
