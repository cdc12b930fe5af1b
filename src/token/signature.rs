//! The signature: HMAC-SHA-256 through `jsonwebtoken`, with a provider that has only HS256, so that no other
//! algorithm is even linked.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::jws::Token;
use super::mac::Keyed;
use crate::code::Rejection;
use crate::secret::Secret;

/// The key that a secret's signatures are checked with. Its bytes are not the secret's but what our provider makes of
/// them, once; they are wiped when it goes.
pub(crate) fn key_of(secret: &Secret) -> DecodingKey {
    DecodingKey::from_secret(&Keyed::new(secret.bytes()).to_bytes())
}

/// Whether one of the keys made the token's signature. `Ok(false)`: none of them.
///
/// A good signature is found at its key: who made it knows the account. One that is not costs the spare keys as well,
/// whose answer counts for nothing: a policy hands over as many as make up its account with the most secrets, so that the
/// time tells nothing about which accounts there are, and how many secrets each has.
///
/// # Errors
/// What `jsonwebtoken` reports of the token, mapped one by one.
pub(crate) fn signed_by(token: &Token<'_>, keys: &[DecodingKey], spare: &[DecodingKey]) -> Result<bool, Rejection> {
    let is_good = |key| jsonwebtoken::crypto::verify(token.signature, token.signing_input, key, Algorithm::HS256);
    for key in keys {
        if is_good(key).map_err(rejection)? {
            return Ok(true);
        }
    }
    for key in spare {
        // Its answer goes nowhere; a compiler must not see that.
        black_box(is_good(key)).ok();
    }
    Ok(false)
}

/// A key that is no account's, whatever it would say.
pub(crate) fn spare_key() -> DecodingKey {
    DecodingKey::from_secret(&Keyed::new(&[]).to_bytes())
}

fn rejection(error: Error) -> Rejection {
    match error.kind() {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            Rejection::TokenMalformed
        }
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::MissingAlgorithm
        | ErrorKind::UnsupportedAlgorithm => Rejection::AlgorithmNotAllowed,
        // The key's own errors can't come from a key of ours; whatever comes with a later version is no good signature.
        _ => Rejection::SignatureInvalid,
    }
}

/// Makes ours the process's provider. `jsonwebtoken` looks one up in a global; a second call finds ours there.
pub(crate) fn install_provider() {
    // The error is the provider itself, set before by this same function: this library is linked with its own
    // `jsonwebtoken`, and nothing else in it installs one.
    let _ = HS256_ALONE.install_default();
}

static HS256_ALONE: CryptoProvider = CryptoProvider {
    signer_factory: refuse_to_sign,
    verifier_factory: hs256_verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

fn refuse_to_sign(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn hs256_verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match algorithm {
        Algorithm::HS256 => {
            let keyed = Keyed::from_bytes(key.try_get_as_bytes()?).ok_or(ErrorKind::InvalidKeyFormat)?;
            Ok(Box::new(Hs256(keyed)))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

struct Hs256(Keyed);

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        if self.0.verifies(message, signature) { Ok(()) } else { Err(SignatureError::new()) }
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
