//! Refuses to build against an nginx without TLS: the module asks OpenSSL, inside nginx, about client certificates.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Written by the build script of `nginx-sys`, from nginx's own configuration.
    println!("cargo::rerun-if-env-changed=DEP_NGINX_FEATURES");
    let features = std::env::var("DEP_NGINX_FEATURES").unwrap_or_default();
    if !features.split(',').any(|feature| feature.trim() == "http_ssl") {
        println!("cargo::error=this nginx is configured without --with-http_ssl_module, which the module needs");
    }
}
