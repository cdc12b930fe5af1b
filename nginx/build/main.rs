//! Compiles what only C can say of nginx's structures, against the headers that the bindings were made from, and proves
//! that the bindings are right. Refuses an nginx without TLS: the module asks OpenSSL, inside nginx, about client
//! certificates.

mod layout;

use std::env;

/// What the build script of `nginx-sys` found out about nginx.
struct Nginx {
    /// Where its headers are.
    include: Vec<std::path::PathBuf>,
    /// What its compiler is told to define.
    defines: Vec<String>,
}

fn main() {
    println!("cargo::rerun-if-changed=build");
    let features = told("FEATURES");
    if !features.split(',').any(|feature| feature.trim() == "http_ssl") {
        println!("cargo::error=this nginx is configured without --with-http_ssl_module, which the module needs");
        return;
    }
    println!("cargo::rerun-if-changed={}/ngx_auto_config.h", told("BUILD_DIR"));
    // `nginx-sys` 0.5 gives the definitions under the first name, and means to give them under the second.
    let defines = told("METADATA").strip_prefix("cflags=").map_or_else(|| told("CFLAGS"), Into::into);
    let nginx = Nginx {
        include: env::split_paths(&told("INCLUDE")).collect(),
        defines: defines.split_whitespace().map(Into::into).collect(),
    };
    const SOURCES: [&str; 2] = ["src/host/bits.c", "src/host/wake.c"];
    SOURCES.iter().for_each(|source| println!("cargo::rerun-if-changed={source}"));
    let bits = nginx.compiler().files(SOURCES).try_compile("secure_callbacks_host");
    let made = bits.map_err(|error| error.to_string()).and_then(|()| layout::write(&nginx));
    if let Err(problem) = made {
        println!("cargo::error={}", problem.replace('\n', " "));
    }
}

/// A variable of `nginx-sys`; empty if it gives none.
fn told(name: &str) -> String {
    let name = format!("DEP_NGINX_{name}");
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).unwrap_or_default()
}

impl Nginx {
    /// A compiler for C that includes nginx's headers.
    fn compiler(&self) -> cc::Build {
        let mut compiler = cc::Build::new();
        // The headers are nginx's own, and so are the warnings in them. No path gets into what is made.
        compiler.includes(&self.include).warnings(false).flag("-Wall").debug(false).cargo_warnings(true);
        for directory in ["OUT_DIR", "CARGO_MANIFEST_DIR"].into_iter().filter_map(env::var_os) {
            compiler.flag_if_supported(format!("-ffile-prefix-map={}=/nginx", directory.display()));
        }
        for directory in &self.include {
            compiler.flag_if_supported(format!("-ffile-prefix-map={}=/nginx", directory.display()));
        }
        for define in &self.defines {
            compiler.flag(define);
        }
        compiler
    }
}
