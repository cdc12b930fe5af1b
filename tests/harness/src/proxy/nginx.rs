//! Nginx's configuration.
use super::{Directory, Ports};
use crate::people::People;
use crate::tools::ProxyKind;
use anyhow::Result;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// A whole configuration around `http`, which holds policies, upstreams and servers. Every path is inside the
/// instance's own directory, the prefix; `module` is loaded when it is given.
#[must_use]
pub fn config(module: Option<&Path>, environment: &[(String, String)], http: &str) -> String {
    let mut text = String::new();
    if let Some(module) = module {
        let _ = writeln!(text, "load_module {};", module.display());
    }
    for (name, _) in environment {
        let _ = writeln!(text, "env {name};");
    }
    let _ = write!(
        text,
        r#"worker_processes 2;
daemon off;
pid nginx.pid;
# At `info` nginx itself writes whole header lines, tokens too, where a request has them twice or too long.
error_log error.log notice;
{user}
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {access_log}
    client_max_body_size 4m;
    large_client_header_buffers 4 32k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_next_upstream off;
{http}
}}
"#,
        // As root the workers would run as nobody, who can't reach the working copy.
        user = if rustix::process::geteuid().is_root() { "user root;" } else { "" },
        access_log = access_log(module.is_some()),
    );
    text
}

/// What the access log keeps of each request: the same fields in the same order as Envoy's.
fn access_log(filtered: bool) -> String {
    let fields = if filtered {
        "$secure_callbacks_result $secure_callbacks_api_key $secure_callbacks_application_id $secure_callbacks_jti"
    } else {
        ""
    };
    format!("log_format callbacks '$request_uri $status {fields}';\n    access_log access.log callbacks;")
}

/// An `upstream` block named `app` that keeps its connections.
#[must_use]
pub fn upstream(address: SocketAddr) -> String {
    format!("    upstream app {{ server {address}; keepalive 16; }}\n")
}

/// The `listen` lines of a server on these ports. For HTTP/3 it has the certificate that [`write_certificate`] writes.
#[must_use]
pub fn listen(kind: ProxyKind, Ports { http1, http2, http3 }: Ports) -> String {
    let mut lines = if has_http2_by_server(kind) {
        format!("listen {http1}; listen {http2}; http2 on;")
    } else {
        format!("listen {http1}; listen {http2} http2;")
    };
    if let Some(address) = http3 {
        let _ = write!(lines, " {}", listen_quic(address));
    }
    lines
}

/// The `listen` line for HTTP/3. Each worker has a socket of its own, or datagrams of a connection would come to another.
#[must_use]
pub fn listen_quic(address: SocketAddr) -> String {
    format!("listen {address} quic reuseport; {CERTIFICATE}")
}

/// The server's certificate.
pub const CERTIFICATE: &str = "ssl_certificate server.pem; ssl_certificate_key server.key;";

/// Writes that certificate.
pub fn write_certificate(directory: &Directory) -> Result<()> {
    People::get().server.write(directory.path(), "server")
}

/// The `listen` line of a server that speaks TLS, with HTTP/1.1 or HTTP/2 as the client and it agree.
#[must_use]
pub fn listen_tls(kind: ProxyKind, address: SocketAddr) -> String {
    if has_http2_by_server(kind) {
        format!("listen {address} ssl; http2 on;")
    } else {
        format!("listen {address} ssl http2;")
    }
}

/// Before 1.25.1 the protocol belongs to the port, after it to the server.
fn has_http2_by_server(kind: ProxyKind) -> bool {
    kind.is_since([1, 25, 1])
}
