//! The step `own`: the module for an nginx that is known only by its path, as `cargo xtask build --nginx` makes it. Once for
//! the system's; once for one that is compiled here with other flags, in which the vectors run; and what is told where it
//! can't be made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies::{self as proxies, Machine, Proxy, Source};

use super::report::Report;
use crate::nginx::{self, Nginx};
use crate::own;
use crate::setup::Part;
use crate::sh::{self, Result};

/// Without `--with-compat` what is in a structure and where depends on everything else: as much as can be is left out.
const OTHER_FLAGS: [&str; 7] = [
    "--with-debug",
    "--with-http_ssl_module",
    "--with-http_v2_module",
    "--without-http-cache",
    "--without-http_gzip_module",
    "--without-http_ssi_module",
    "--without-http_upstream_zone_module",
];

/// What it needs: the system's nginx, and a source that can be compiled.
pub(super) fn needs() -> Vec<Part> {
    let compiled = compiled().into_iter();
    [Part::Packages].into_iter().chain(proxies::system_nginx().into_iter().chain(compiled).map(Part::Proxy)).collect()
}

/// The entry with that source.
fn compiled() -> Option<&'static Proxy> {
    proxies::all().iter().find(|proxy| matches!(proxy.source, Source::Crate { .. }))
}

/// Runs it.
pub(super) fn run(report: &mut Report) {
    let needs = needs();
    let (Ok(system), Some(compiled)) = (proxies::system_nginx(), compiled()) else {
        return report.plain("own nginx", || Err("proxies.toml has no nginx to try it with".into()));
    };
    let target = sh::target();
    let (program, other) = (system.program(&target), target.join("tools/otherwise-nginx"));
    report.with(&needs, "own nginx, the system's by its path", || own::build(&program, None).map(drop));
    let other_program = other.join("sbin/nginx");
    report.with(&needs, "own nginx, compiled with other flags", || {
        compile(compiled, &other)?;
        own::build(&other_program, None).map(drop)
    });
    if report.went_well() {
        let vectors = super::in_proxy(&other_program.display().to_string(), "vectors", None);
        report.tests_with(&needs, "vectors in the own nginx", vectors);
    }
    report.with(&needs, "own nginx, what it lacks is told", || {
        let source = Nginx::of(compiled)?.source();
        let other = format!("nginx {}, and needed is that of {}", compiled.version, system.version);
        refused(&program, Some(&source), &other)?;
        let directory = tempfile::tempdir().map_err(|error| format!("no directory: {error}"))?;
        refused(&of_no_version(directory.path())?, None, "say `--source nginx-1.99.0.tar.gz`")
    });
}

/// Compiles it into `home`, once.
fn compile(compiled: &Proxy, home: &Path) -> Result<()> {
    let is_as_wanted = |said: proxies::own::Said| {
        let flags =
            said.arguments.iter().filter(|flag| !flag.starts_with("--prefix=") && !flag.starts_with("--builddir="));
        said.version == compiled.version && flags.eq(OTHER_FLAGS.iter())
    };
    if proxies::own::ask(&home.join("sbin/nginx")).is_ok_and(is_as_wanted) {
        return Ok(());
    }
    nginx::remove(home)?;
    let mut objects = home.as_os_str().to_owned();
    objects.push("-objs");
    nginx::compile(Machine::This, &Nginx::of(compiled)?.source(), home, Path::new(&objects), &OTHER_FLAGS)
}

/// Building for it fails, and says this.
fn refused(program: &Path, source: Option<&Path>, says: &str) -> Result<()> {
    match own::build(program, source) {
        Ok(_) => Err(format!("it was built for {}", program.display())),
        Err(problem) if problem.contains(says) => Ok(()),
        Err(problem) => Err(format!("what is told is not {says:?} but:\n{problem}")),
    }
}

/// A program that says what an nginx says, of a version that nobody has made.
fn of_no_version(directory: &Path) -> Result<PathBuf> {
    let program = directory.join("nginx");
    let script = "#!/bin/sh\nprintf 'nginx version: nginx/1.99.0\\nconfigure arguments: --with-compat\\n' >&2\n";
    let written = fs::write(&program, script);
    let made = written.and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)));
    made.map(|()| program).map_err(|error| format!("cannot write a program: {error}"))
}
