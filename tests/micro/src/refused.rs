//! Callbacks whose signature is not good, as anybody can send them: what `cargo xtask instructions` counts, to see that a
//! refusal's cost tells nothing about the accounts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secure_callbacks::Rejection;
use secure_callbacks_support::token::{API_KEY, APPLICATION_ID, SECRET};

use crate::{Callback, NOW, Site};

/// The account of [`many_accounts`] with one secret; [`API_KEY`] has four, more than any other.
const ONE_SECRET: &str = "b1b2c3d";

/// Of the right form, and nobody's.
const BAD_SIGNATURE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A JOSE header that the core knows as text.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The JSON in a token of 8 KiB, besides the smallest other part, the points and the signature: three bytes in four.
const ROOM: usize = (8 * 1024 - 36 - 2 - BAD_SIGNATURE.len()) / 4 * 3;

/// A callback to refuse.
pub struct Case {
    /// What must cost the same, or be compared, has the same one.
    pub set: &'static str,
    /// What it is.
    pub name: String,
    /// It comes in like this.
    pub callback: Callback,
    /// This is why it is refused.
    pub rejection: Rejection,
}

impl Case {
    /// Where it is refused.
    #[must_use]
    pub fn site(&self) -> Site {
        many_accounts()
    }
}

/// A site with many accounts, of which one has more secrets than the others.
fn many_accounts() -> Site {
    let mut accounts = format!(r#"{{"api_key":"{ONE_SECRET}","secrets":["text:{SECRET}"]}}"#);
    for nth in 0..100 {
        write!(accounts, r#",{{"api_key":"c1b2{nth:03}","secrets":["text:{SECRET}"]}}"#).ok();
    }
    let secrets = ["one", "two", "three", "four"].map(|nth| format!(r#""text:{SECRET} {nth}""#)).join(",");
    Site::new(&format!(r#"{{"accounts":[{accounts},{{"api_key":"{API_KEY}","secrets":[{secrets}]}}]}}"#))
}

/// Everything to refuse; of each set the first is what the others are compared with.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = accounts("accounts", 300);
    cases.extend(accounts("accounts of 8 KiB", ROOM));
    cases.extend(short_signatures("accounts, short signatures", 300));
    cases
}

fn accounts(set: &'static str, size: usize) -> Vec<Case> {
    let case = |name: &str, api_key: &str, rejection| Case {
        set,
        name: name.into(),
        callback: signed_by_nobody(HEADER, &plain(api_key, size)),
        rejection,
    };
    vec![
        case("the one with the most secrets", API_KEY, Rejection::SignatureInvalid),
        case("the first, with one secret", ONE_SECRET, Rejection::SignatureInvalid),
        case("one among many, with one secret", "c1b2098", Rejection::SignatureInvalid),
        case("none", "zzzzzzz", Rejection::AccountUnknown),
        case("none, and shorter than all", "z", Rejection::AccountUnknown),
    ]
}

/// The same with signatures that are cut short, and so never compared.
fn short_signatures(set: &'static str, size: usize) -> Vec<Case> {
    let cut = |case: Case| {
        let authorization = case.callback.authorization[..case.callback.authorization.len() - 40].to_vec();
        Case { callback: Callback { authorization, body: Vec::new() }, ..case }
    };
    accounts(set, size).into_iter().map(cut).collect()
}

/// The usual claims, and one that fills the JSON up to this size.
fn plain(api_key: &str, size: usize) -> String {
    let hash = "0".repeat(64);
    let claims = format!(
        r#"{{"iat":{NOW},"jti":"7f8f6b0e-5a1c-4d0e-8b4e-0123456789ab","iss":"Vonage","payload_hash":"{hash}","application_id":"{APPLICATION_ID}","api_key":"{api_key}","padding":""#
    );
    let padding = "x".repeat(size - claims.len() - 2);
    format!(r#"{claims}{padding}"}}"#)
}

fn signed_by_nobody(header: &str, payload: &str) -> Callback {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    Callback { authorization: format!("Bearer {header}.{payload}.{BAD_SIGNATURE}").into_bytes(), body: Vec::new() }
}
