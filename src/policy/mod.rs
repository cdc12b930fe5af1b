//! A policy: which callbacks are let through. Plain data, validated once; what it protects has no silent default.
//!
//! [`PolicyConfig`] is what was written, as JSON ([`PolicyConfig::from_json`]) or as lines of words
//! ([`PolicyConfig::from_lines`]); both are read by one reader. [`PolicyConfig::resolve`] looks the secrets up and makes
//! the [`Policy`].

mod config;
mod fields;
mod lines;
mod shared_store;
mod strict_json;
mod units;
mod warning;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::{iter, mem};

use jsonwebtoken::DecodingKey;

pub use config::{AccountConfig, Mode, Payload, PayloadHashRule, PolicyConfig};
pub use lines::{Line, line_of};
pub use shared_store::{Reach, SharedStore};
pub use warning::Warning;

use crate::certificate::CertificateRule;
use crate::code::Status;
use crate::problem::{PolicyError, Problem};
use crate::reply::Challenges;
use crate::secret::SecretSource;
use crate::source::SourceAddresses;
use crate::token;

/// An account whose callbacks may be accepted.
#[derive(Debug)]
pub(crate) struct Account {
    api_key: Box<str>,
    keys: Vec<DecodingKey>,
    applications: Option<Vec<Box<str>>>,
}

impl Account {
    pub(crate) fn api_key(&self) -> &str {
        &self.api_key
    }

    /// One HMAC key for each secret; any may have signed.
    pub(crate) fn keys(&self) -> &[DecodingKey] {
        &self.keys
    }

    /// The applications that may call; `None`: any, or a token that names none.
    pub(crate) fn applications(&self) -> Option<&[Box<str>]> {
        self.applications.as_deref()
    }
}

/// A validated policy. Its secrets are wiped from memory when it goes, and its `Debug` hides them.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    name: String,
    /// In the order of their keys.
    accounts: Vec<Account>,
    /// As many keys that belong to nobody as the account with the most secrets has.
    spare_keys: Vec<DecodingKey>,
    challenges: Challenges,
    shared_store: Option<SharedStore>,
    warnings: Vec<Warning>,
}

impl PolicyConfig {
    /// Looks the secrets up and makes the policy.
    ///
    /// # Errors
    /// The first secret that can't be had or is too short, named by its place.
    pub fn resolve(mut self, secrets: &dyn SecretSource) -> Result<Policy, PolicyError> {
        // Taken out: a secret that is written in the configuration itself is kept only as a key.
        let written = mem::take(&mut self.accounts);
        let mut accounts = Vec::with_capacity(written.len());
        let mut warnings = Vec::new();
        for (index, account) in written.iter().enumerate() {
            let mut keys = Vec::with_capacity(account.secrets.len());
            for (nth, reference) in account.secrets.iter().enumerate() {
                let secret = reference.resolve(secrets).map_err(|problem| {
                    PolicyError::new(format!("accounts[{index}].secrets[{nth}]"), Problem::Secret(problem))
                })?;
                warning::of_secret(&mut warnings, [index, nth], &secret, reference.drops_newline());
                keys.push(token::key_of(&secret));
            }
            for (nth, id) in account.applications.iter().flatten().enumerate() {
                warning::of_application(&mut warnings, [index, nth], id);
            }
            let account = Account {
                api_key: account.api_key.as_str().into(),
                keys,
                applications: account
                    .applications
                    .as_ref()
                    .map(|list| list.iter().map(|id| id.as_str().into()).collect()),
            };
            let after = accounts.partition_point(|other: &Account| other.api_key < account.api_key);
            accounts.insert(after, account);
        }
        let most = accounts.iter().map(|account| account.keys.len()).max().unwrap_or(0);
        let spare_keys = iter::repeat_with(token::spare_key).take(most).collect();
        let name = self.name.clone().unwrap_or_else(|| config::DEFAULT_NAME.into());
        let challenges = Challenges::for_realm(&self.realm);
        let shared_store = self.replay_store.take().map(|store| store.resolve(secrets)).transpose()?;
        Ok(Policy { config: self, name, accounts, spare_keys, challenges, shared_store, warnings })
    }
}

impl Policy {
    /// The name, in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Enforce or report.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// The header that holds the token, in lower case.
    #[must_use]
    pub fn token_header(&self) -> &str {
        &self.config.token_header
    }

    /// The largest body, in bytes.
    #[must_use]
    pub fn max_body_size(&self) -> u64 {
        self.config.max_body_size
    }

    /// Whether the hash of a GET is over its query: then a host tells what a request asks for.
    #[must_use]
    pub fn hashes_query(&self) -> bool {
        self.config.payload == Payload::Query
    }

    /// Whether replays are refused.
    #[must_use]
    pub fn replay(&self) -> bool {
        self.config.replay
    }

    /// How many callbacks can be remembered at once.
    #[must_use]
    pub fn replay_capacity(&self) -> u32 {
        self.config.replay_capacity
    }

    /// The store that remembers for a whole fleet, if the policy names one.
    #[must_use]
    pub fn shared_store(&self) -> Option<&SharedStore> {
        self.shared_store.as_ref()
    }

    /// How long an accepted callback is remembered, in seconds.
    #[must_use]
    pub fn replay_memory(&self) -> i64 {
        self.config.max_age.saturating_add(self.config.leeway)
    }

    /// What is doubtful in it: worth one warning each at the start.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether it takes only callbacks on connections with a client certificate.
    #[must_use]
    pub fn asks_for_certificate(&self) -> bool {
        self.config.client_certificate.is_some()
    }

    /// Takes as many steps for an account that is not there, whatever the place of one that is.
    pub(crate) fn account(&self, api_key: &str) -> Option<&Account> {
        let place = self.accounts.binary_search_by(|account| account.api_key().cmp(api_key));
        self.accounts.get(place.ok()?)
    }

    /// What a refused signature is checked with besides an account's keys, or in place of them.
    pub(crate) fn spare_keys(&self, account: Option<&Account>) -> &[DecodingKey] {
        self.spare_keys.get(account.map_or(0, |account| account.keys.len())..).unwrap_or_default()
    }

    pub(crate) fn token_header_is_authorization(&self) -> bool {
        self.config.token_header == config::AUTHORIZATION
    }

    pub(crate) fn client_certificate(&self) -> Option<&CertificateRule> {
        self.config.client_certificate.as_ref()
    }

    pub(crate) fn source_addresses(&self) -> Option<&SourceAddresses> {
        self.config.source_addresses.as_ref()
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    pub(crate) fn max_age(&self) -> i64 {
        self.config.max_age
    }

    pub(crate) fn leeway(&self) -> i64 {
        self.config.leeway
    }

    pub(crate) fn payload_hash(&self) -> PayloadHashRule {
        self.config.payload_hash
    }

    pub(crate) fn missing_token_status(&self) -> Status {
        self.config.missing_token_status
    }

    pub(crate) fn expose_reason(&self) -> bool {
        self.config.expose_reason
    }

    pub(crate) fn challenges(&self) -> &Challenges {
        &self.challenges
    }
}
