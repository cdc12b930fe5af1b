//! Whose word it is that a client's certificate is good: which virtual server's settings the connection was validated by,
//! and whether a request's own server goes by the same.
//!
//! A handshake without a name (SNI) is the default server's, and any request may follow it. Nginx looks only at the
//! connection then, and calls validated for one server what another one's authority has signed.

use core::ffi::{CStr, c_char, c_int};

use ngx::ffi::{
    SSL, SSL_CTX_get_ex_data, SSL_SESSION_get0_hostname, SSL_get_SSL_CTX, SSL_get_servername, SSL_get_session,
    SSL_session_reused, TLSEXT_NAMETYPE_host_name, ngx_cycle, ngx_http_ssl_srv_conf_t, ngx_ssl_server_conf_index,
    ngx_str_t,
};
use ngx::http::{HttpModuleServerConf, NgxHttpSslModule};

use super::request::Request;

/// Whether what validated the client's certificate on this connection is what the request's server validates by.
pub(super) fn is_the_requests_own(request: Request<'_>) -> bool {
    // SAFETY: a request has a connection; with TLS that has one of OpenSSL's.
    let Some(tls) = (unsafe { (*request.view().connection()).ssl.as_ref() }) else { return false };
    let Some(own) = NgxHttpSslModule::server_conf(request.view()) else { return false };
    // SAFETY: the connection is OpenSSL's, and has settings; nginx keeps there whose they are. Those of a server's that
    // has no certificate are never a connection's: it shakes hands by the default server's.
    let made_for = unsafe {
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(tls.connection), ngx_ssl_server_conf_index)
            .cast::<ngx_http_ssl_srv_conf_t>()
            .as_ref()
    };
    let validates_alike = made_for.is_some_and(|made_for| core::ptr::eq(made_for, own) || is_alike(made_for, own));
    // SAFETY: as above.
    validates_alike && unsafe { is_of_this_handshake(tls.connection, request) }
}

/// Whether two servers validate clients by the same.
fn is_alike(one: &ngx_http_ssl_srv_conf_t, other: &ngx_http_ssl_srv_conf_t) -> bool {
    one.verify == other.verify
        && one.verify_depth == other.verify_depth
        && is_same_file(&one.client_certificate, &other.client_certificate)
        && is_same_file(&one.trusted_certificate, &other.trusted_certificate)
        && is_same_file(&one.crl, &other.crl)
        && one.ocsp == other.ocsp
        && bytes(&one.ocsp_responder) == bytes(&other.ocsp_responder)
}

/// Whether two paths name one file. Nginx completes those that it reads, and leaves alone what a server without a
/// certificate has.
fn is_same_file(one: &ngx_str_t, other: &ngx_str_t) -> bool {
    let (one, other) = (bytes(one), bytes(other));
    let (long, short) = if one.len() < other.len() { (other, one) } else { (one, other) };
    // SAFETY: there is always a configuration in force, and its directory's name is nginx's.
    let directory = || unsafe { ngx_cycle.as_ref().map(|cycle| bytes(&cycle.conf_prefix)) };
    let is_relative = !short.is_empty() && !short.starts_with(b"/");
    long == short || (is_relative && long.strip_suffix(short).is_some_and(|before| Some(before) == directory()))
}

fn bytes(text: &ngx_str_t) -> &[u8] {
    if text.len == 0 { &[] } else { text.as_bytes() }
}

/// Whether the certificate was validated in a handshake for the server that this one is for: a session may be taken up
/// under another name than it began with, or under one where it began with none.
///
/// # Safety
/// `tls` is the request's connection, after its handshake.
unsafe fn is_of_this_handshake(tls: *mut SSL, request: Request<'_>) -> bool {
    // SAFETY: as the caller vouches. The names live as long as the connection and the session, and nobody changes them
    // meanwhile.
    unsafe {
        if SSL_session_reused(tls) == 0 {
            return true;
        }
        let began = name(SSL_SESSION_get0_hostname(SSL_get_session(tls)));
        let now = name(SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name as c_int));
        let is_named = !(*(*request.as_ptr()).http_connection).ssl_servername.is_null();
        began == now && (began.is_some() || !is_named)
    }
}

/// # Safety
/// `name` is null, or a text that ends with zero and lives as long as `'n`.
unsafe fn name<'n>(name: *const c_char) -> Option<&'n CStr> {
    // SAFETY: as the caller vouches.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
}
