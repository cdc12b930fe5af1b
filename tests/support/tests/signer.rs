//! The signer itself, against a published token and against what its edits promise.
#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secure_callbacks_support::Token;
use secure_callbacks_support::token::{Algorithm, Edit};

#[test]
fn signs_the_example_of_rfc_7515() {
    // Appendix A.1: the key, the signing input and the signature.
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = Algorithm::HS256.sign(&URL_SAFE_NO_PAD.decode(key).unwrap(), input.as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn every_edit_changes_what_it_names() {
    let parts = |edit: Edit| {
        let token = Token::valid(b"{}", 1_700_000_000).claim("x", "????????").header("x", "????????").edit(edit).sign();
        token.split('.').map(str::to_owned).collect::<Vec<_>>()
    };
    for part in 0..3 {
        let padded = parts(Edit::Pad(part)).remove(part);
        assert!(padded.ends_with('=') && URL_SAFE.decode(&padded).is_ok(), "{padded}");
        let standard = parts(Edit::StandardAlphabet(part)).remove(part);
        assert!(standard.contains(['+', '/']) && STANDARD_NO_PAD.decode(&standard).is_ok(), "{standard}");
        let trailing = parts(Edit::TrailingBits(part)).remove(part);
        assert!(URL_SAFE_NO_PAD.decode(&trailing).is_err(), "{trailing}");
    }
    for bytes in [0, 1, 16, 31, 33] {
        let signature = parts(Edit::SignatureLength(bytes)).remove(2);
        assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), bytes);
    }
    assert_eq!(parts(Edit::DropSignaturePart).len(), 2);
    assert_eq!(parts(Edit::Append(".e30".into())).len(), 4);
    assert_eq!(Token::valid(b"", 0).length(8193).sign().len(), 8193);
}
