//! What the core asks of a connection: the address a request came from, and the client's certificate as OpenSSL has it.

use core::cell::OnceCell;
use core::ffi::c_int;
use core::net::IpAddr;
use core::ptr::{self, NonNull};
use core::slice;
use std::string::String;
use std::vec::Vec;

use ngx::core::{NgxStr, Pool, Status};
use ngx::ffi::{
    ASN1_STRING, ASN1_STRING_get0_data, ASN1_STRING_length, EVP_sha256, GEN_DNS, GENERAL_NAME, GENERAL_NAME_get0_value,
    GENERAL_NAMES, GENERAL_NAMES_free, NID_subject_alt_name, OPENSSL_sk_num, OPENSSL_sk_value,
    SSL_get1_peer_certificate, X509, X509_digest, X509_free, X509_get_ext_d2i, ngx_connection_t, ngx_int_t, ngx_pool_t,
    ngx_ssl_get_client_verify, ngx_ssl_get_subject_dn, ngx_str_t,
};
use secure_callbacks::{CertificateState, Connection, Fingerprint, NotGiven};

use super::pool::Keep;
use super::request::Request;
use super::validator;

impl Connection for Request<'_> {
    fn source(&self) -> Option<IpAddr> {
        Request::source(*self).parse().ok()
    }

    fn certificate(&self) -> CertificateState {
        match Known::of(*self) {
            None => CertificateState::Missing,
            Some(known) if known.state == CertificateState::Verified && !validator::is_the_requests_own(*self) => {
                CertificateState::Unverified
            }
            Some(known) => known.state,
        }
    }

    fn subject(&self) -> Option<Vec<u8>> {
        Some(self.client_subject().as_bytes().to_vec())
    }

    fn dns_names(&self) -> Result<Vec<Vec<u8>>, NotGiven> {
        let read = || Certificate::of(*self).map(|certificate| certificate.dns_names());
        Known::of(*self).and_then(|known| known.dns_names.get_or_init(read).clone()).ok_or(NotGiven)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        let read = || Certificate::of(*self)?.fingerprint();
        *Known::of(*self)?.fingerprint.get_or_init(read)
    }
}

impl<'r> Request<'r> {
    /// The subject of the client's certificate (RFC 2253), if nginx has validated it for the request's server; otherwise
    /// nothing.
    pub(crate) fn client_subject(self) -> &'r str {
        let known = Known::of(self).filter(|known| !known.subject.is_empty() && validator::is_the_requests_own(self));
        known.map_or("", |known| &known.subject)
    }
}

/// What is known of the certificate on a connection with TLS. It stays the same as long as the connection, which keeps
/// it: to ask OpenSSL anew for each request would cost more than all other checks. For which servers it counts is asked
/// anew: requests on one connection may be for several.
struct Known {
    state: CertificateState,
    /// Of a validated certificate; otherwise empty.
    subject: String,
    dns_names: OnceCell<Option<Vec<Vec<u8>>>>,
    fingerprint: OnceCell<Option<Fingerprint>>,
}

impl Known {
    /// `None` without TLS, and without memory.
    fn of<'r>(request: Request<'r>) -> Option<&'r Self> {
        // SAFETY: a request has a connection, and that has a pool, which outlives it. What it keeps stays where it is,
        // and nobody has it mutably.
        unsafe {
            let connection = request.view().connection();
            if (*connection).ssl.is_null() {
                return None;
            }
            let pool = Pool::from_ngx_pool((*connection).pool);
            let known = pool.kept::<Self>().next();
            let known = known.or_else(|| pool.keep(Self::read(request)).ok());
            known.map(|known| known.as_ref())
        }
    }

    fn read(request: Request<'_>) -> Self {
        let state = match tls_text(request, ngx_ssl_get_client_verify) {
            "NONE" => CertificateState::Missing,
            "SUCCESS" => CertificateState::Verified,
            _ => CertificateState::Unverified,
        };
        // `optional_no_ca` gives the subject of any certificate: only the state says that it was validated.
        let subject = if state == CertificateState::Verified { tls_text(request, ngx_ssl_get_subject_dn) } else { "" };
        Self { state, subject: subject.into(), dns_names: OnceCell::new(), fingerprint: OnceCell::new() }
    }
}

/// One of the functions behind nginx's variables on TLS.
type TlsText = unsafe extern "C" fn(*mut ngx_connection_t, *mut ngx_pool_t, *mut ngx_str_t) -> ngx_int_t;

/// What it says; empty if it says nothing. The connection has TLS.
fn tls_text<'r>(request: Request<'r>, get: TlsText) -> &'r str {
    let mut text = ngx_str_t::empty();
    // SAFETY: the request is valid, and has a connection with TLS. The text lives in the request's pool, or is constant.
    unsafe {
        if get(request.view().connection(), request.pool().as_ptr(), &raw mut text) != Status::NGX_OK.0 {
            return "";
        }
        NgxStr::from_ngx_str(text).to_str().unwrap_or_default()
    }
}

/// A certificate that is ours to give back.
struct Certificate(NonNull<X509>);

impl Certificate {
    /// The client's, also of a resumed session.
    fn of(request: Request<'_>) -> Option<Self> {
        // SAFETY: the request is valid; with TLS its connection has one of OpenSSL's. The certificate comes with a
        // reference of its own, which `drop` gives back.
        unsafe {
            let tls = (*(*request.as_ptr()).connection).ssl.as_ref()?;
            NonNull::new(SSL_get1_peer_certificate(tls.connection)).map(Self)
        }
    }

    /// Every DNS name among the alternative names of its subject.
    fn dns_names(&self) -> Vec<Vec<u8>> {
        AlternativeNames::of(self).map(|names| names.dns_names()).unwrap_or_default()
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        let mut digest = [0; 32];
        let mut length = 0;
        // SAFETY: the certificate is valid, and SHA-256 writes 32 bytes.
        let done = unsafe { X509_digest(self.0.as_ptr(), EVP_sha256(), digest.as_mut_ptr(), &raw mut length) };
        (done == 1 && length == 32).then_some(digest)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { X509_free(self.0.as_ptr()) };
    }
}

/// The extension's names, decoded.
struct AlternativeNames(NonNull<GENERAL_NAMES>);

impl AlternativeNames {
    /// `None` if there is no such extension, or if it occurs twice or can't be read.
    fn of(certificate: &Certificate) -> Option<Self> {
        // SAFETY: the certificate is valid; what comes back is ours to free.
        let names = unsafe {
            X509_get_ext_d2i(certificate.0.as_ptr(), NID_subject_alt_name as c_int, ptr::null_mut(), ptr::null_mut())
        };
        NonNull::new(names.cast()).map(Self)
    }

    fn dns_names(&self) -> Vec<Vec<u8>> {
        let stack = self.0.as_ptr().cast();
        // SAFETY: OpenSSL's stacks of every type are one kind of stack.
        let count = unsafe { OPENSSL_sk_num(stack) };
        // SAFETY: the stack holds general names, and they live as long as it.
        let names =
            (0..count).filter_map(|index| unsafe { OPENSSL_sk_value(stack, index).cast::<GENERAL_NAME>().as_ref() });
        names.filter_map(dns_name).collect()
    }
}

impl Drop for AlternativeNames {
    fn drop(&mut self) {
        // SAFETY: the names are ours.
        unsafe { GENERAL_NAMES_free(self.0.as_ptr()) };
    }
}

fn dns_name(name: &GENERAL_NAME) -> Option<Vec<u8>> {
    let mut kind: c_int = 0;
    // SAFETY: the name is valid; a DNS name's value is a string of OpenSSL's, which may hold any bytes, zero too.
    unsafe {
        let value = GENERAL_NAME_get0_value(name, &raw mut kind);
        if kind != GEN_DNS as c_int || value.is_null() {
            return None;
        }
        let text = value.cast::<ASN1_STRING>();
        let length = usize::try_from(ASN1_STRING_length(text)).ok()?;
        let bytes = NonNull::new(ASN1_STRING_get0_data(text).cast_mut())?;
        Some(slice::from_raw_parts(bytes.as_ptr(), length).to_vec())
    }
}
