//! The module for an nginx of somebody's own, by its path: what it was configured with is asked of it, the source of its
//! version is looked for and configured alike, and what is built must load into it.

use std::fs;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies::{self as proxies, Proxy, Source, own};

use crate::build::{self, Build};
use crate::jobs;
use crate::nginx::{self, Nginx, SYSTEM_SOURCE};
use crate::setup::{self, Part};
use crate::sh::{Cmd, Result};

/// Beginnings of what is not passed on to `configure`: modules of others, and libraries from their sources. They change
/// nothing in nginx's own structures, and need not be on this machine.
const NOT_NEEDED: [&str; 10] = [
    "--add-module=",
    "--add-dynamic-module=",
    "--builddir=",
    "--with-libatomic=",
    "--with-openssl=",
    "--with-openssl-opt=",
    "--with-pcre=",
    "--with-pcre-opt=",
    "--with-zlib=",
    "--with-zlib-",
];

/// Builds the module for the nginx at this path, and has that nginx load it.
pub(crate) fn build(program: &Path, source: Option<&Path>) -> Result<PathBuf> {
    let proxy = own::nginx(program, source)?;
    setup::require(&[Part::Compilers])?;
    if Nginx::of(proxy)?.missing().is_some() {
        jobs::say(&format!("configuring the source of nginx {} as {} was", proxy.version, program.display()));
        configure(proxy, program, source)?;
    }
    let build = Build::NginxModule(proxy);
    build.run()?;
    let module = build::dist().join(build.file()?);
    loads(program, &module)?;
    jobs::say(&format!("{} loads it: `load_module {};`", program.display(), module.display()));
    Ok(module)
}

/// Configures the source of an nginx of somebody's own as that was configured.
pub(crate) fn configure(proxy: &Proxy, program: &Path, given: Option<&Path>) -> Result<()> {
    let said = own::ask(program)?;
    let aside = tempfile::tempdir().map_err(|error| format!("no directory for the source: {error}"))?;
    let source = match given {
        Some(given) => opened(given, aside.path())?,
        None => found(&said.version)?,
    };
    is_of(&source, &said.version)?;
    let flags: Vec<_> = said.arguments.iter().map(String::as_str).filter(|flag| is_needed(flag)).collect();
    let left_out: Vec<_> = said.arguments.iter().map(String::as_str).filter(|flag| !is_needed(flag)).collect();
    if !left_out.is_empty() {
        jobs::say(&format!("configured without what the module does not need: {}", left_out.join(" ")));
    }
    Nginx::of(proxy)?.configure(&source, &flags).map_err(|problem| {
        format!(
            "nginx's own `configure` does not take here what {} was configured with. If it says that a library is missing, \
             install its -dev package.\n{problem}",
            program.display()
        )
    })
}

fn is_needed(flag: &str) -> bool {
    // A dynamic module is not in the program: it only needs libraries.
    !flag.ends_with("=dynamic") && !NOT_NEEDED.iter().any(|begins| flag.starts_with(begins))
}

/// The directory that was given, or what is in the archive that was; of either the place within that holds nginx.
fn opened(given: &Path, aside: &Path) -> Result<PathBuf> {
    let place = if given.is_dir() {
        given
    } else {
        Cmd::new("tar").arg("-xf").arg(given).arg("-C").arg(aside).output()?;
        aside
    };
    // `nginx-1.28.3/`, and OpenResty's `openresty-1.27.1.2/bundle/nginx-1.27.1/`.
    inside(place, 3).ok_or_else(|| format!("there is no source of an nginx in {}", given.display()))
}

fn inside(directory: &Path, depth: usize) -> Option<PathBuf> {
    if directory.join("src/core/nginx.h").is_file() {
        return Some(directory.to_owned());
    }
    let depth = depth.checked_sub(1)?;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut directories: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    directories.sort();
    directories.iter().find_map(|directory| inside(directory, depth))
}

/// The source of a version, as far as one is in reach without being given.
fn found(version: &str) -> Result<PathBuf> {
    let packaged = Path::new(SYSTEM_SOURCE);
    if number(packaged).as_deref() == Some(version) {
        return Ok(packaged.to_owned());
    }
    let from_elsewhere = |proxy: &&Proxy| matches!(proxy.source, Source::Crate { .. } | Source::Debian { .. });
    if let Some(proxy) = proxies::all().iter().filter(from_elsewhere).find(|proxy| proxy.version == version) {
        if let Source::Crate { nginx_src, sha256 } = &proxy.source {
            return nginx::crate_source(nginx_src, sha256);
        }
        setup::require(&[Part::Proxy(proxy)])?;
        return Ok(Nginx::of(proxy)?.source());
    }
    let mut known: Vec<_> = proxies::all().iter().filter(from_elsewhere).map(|proxy| proxy.version.as_str()).collect();
    known.sort_unstable();
    Err(format!(
        "there is no source of nginx {version} here. Either install the package with its headers, if it is a Debian's own \
         nginx (`apt-get install nginx-dev`), or download nginx-{version}.tar.gz from where this nginx is from and say \
         `--source nginx-{version}.tar.gz` (a directory will do too). Found without that: {}",
        known.join(", ")
    ))
}

/// A module of another version does not load; it is better said here.
fn is_of(source: &Path, version: &str) -> Result<()> {
    match number(source) {
        Some(has) if has == version => Ok(()),
        has => Err(format!(
            "{} is the source of nginx {}, and needed is that of {version}",
            source.display(),
            has.as_deref().unwrap_or("of an unknown version")
        )),
    }
}

/// The version that a source says of itself: `#define NGINX_VERSION "1.28.3"`.
fn number(source: &Path) -> Option<String> {
    let text = fs::read_to_string(source.join("src/core/nginx.h")).ok()?;
    let values = text.lines().filter_map(|line| line.strip_prefix("#define NGINX_VERSION"));
    let mut values = values.filter_map(|value| value.trim().strip_prefix('"')?.strip_suffix('"'));
    values.next().map(Into::into)
}

/// Has nginx read a configuration with the module and a policy in it.
fn loads(program: &Path, module: &Path) -> Result<()> {
    let directory = tempfile::tempdir().map_err(|error| format!("no directory for a configuration: {error}"))?;
    let home = directory.path();
    // Where nginx itself would put them only its own user may write.
    let without = own::ask(program)?.arguments;
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = paths.iter().filter(|name| !without.contains(&format!("--without-http_{name}_module")));
    let paths = paths.map(|name| format!("{name}_temp_path {name};")).collect::<String>();
    let configuration = format!(
        "load_module {};\nerror_log error.log;\npid nginx.pid;\nevents {{}}\nhttp {{\n{paths}\naccess_log off;\n\
         secure_callbacks_policy check {{ account check secret=text:only-to-see-whether-it-loads; }}\n\
         server {{ listen unix:{}/socket; location / {{ secure_callbacks check; }} }}\n}}\n",
        module.display(),
        home.display()
    );
    let file = home.join("nginx.conf");
    fs::write(&file, configuration).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let check = Cmd::new(program).arg("-t").arg("-p").arg(home).arg("-c").arg(&file).args(["-e", "error.log"]);
    check.output().map(drop).map_err(|problem| format!("{} does not load the module: {problem}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configure_is_told_what_changes_nginx_and_nothing_else() {
        for needed in
            ["--with-compat", "--with-debug", "--with-cc-opt=-O2 -g", "--with-pcre", "--with-pcre-jit", "--prefix=/"]
        {
            assert!(is_needed(needed), "{needed}");
        }
        for other in [
            "--with-mail=dynamic",
            "--with-http_perl_module=dynamic",
            "--add-module=../ngx_devel_kit-0.3.3",
            "--with-openssl=../openssl-3.5.1",
            "--with-pcre=../pcre2-10.44",
            "--builddir=objs",
        ] {
            assert!(!is_needed(other), "{other}");
        }
    }

    #[test]
    fn a_source_that_is_not_nginxs_or_not_this_versions_is_told() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let core = directory.path().join("bundle/nginx-1.27.1/src/core");
        let open = || opened(directory.path(), Path::new("/nonexistent"));
        assert!(open().is_err_and(|problem| problem.contains("no source of an nginx")));
        let header = "#define nginx_version 1027001\n#define NGINX_VERSION      \"1.27.1\"\n";
        let written = fs::create_dir_all(&core).and_then(|()| fs::write(core.join("nginx.h"), header));
        assert!(written.is_ok(), "{written:?}");
        let source = open().unwrap_or_default();
        assert_eq!(is_of(&source, "1.27.1"), Ok(()));
        let problem = is_of(&source, "1.27.2").err().unwrap_or_default();
        assert!(problem.ends_with("the source of nginx 1.27.1, and needed is that of 1.27.2"), "{problem}");
    }
}
