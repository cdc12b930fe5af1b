//! An nginx of somebody's own, which no file knows: what it says of itself.

use std::path::Path;
use std::process::Command;

use crate::{Artifact, Machine, Product, Proxy, Source};

/// What a program says to `-V`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The version of nginx that it is or is made of, such as `1.22.1`: the one that modules are built for.
    pub version: String,
    /// What it was configured with.
    pub arguments: Vec<String>,
    /// All of it.
    pub text: String,
}

/// Asks a program. An error: it is not there, or it is no nginx.
pub fn ask(program: &Path) -> Result<Said, String> {
    let output = Command::new(program).arg("-V").output();
    let output = output.map_err(|error| format!("{} can't be run: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
    read(&text).ok_or_else(|| format!("{} does not say to -V what an nginx does, but:\n{text}", program.display()))
}

/// The proxy that this program is, and where its source is if somebody said so.
pub fn nginx(program: &Path, source: Option<&Path>) -> Result<&'static Proxy, String> {
    let Said { version, arguments, text } = ask(program)?;
    if text.starts_with("Angie ") {
        let why = "its modules begin otherwise than nginx's, in a way that the crate `nginx-sys` does not know";
        return Err(format!("{} is Angie, for which no module can be built: {why}", program.display()));
    }
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    // It lives as long as this program, as those of the file do.
    Ok(Box::leak(Box::new(Proxy {
        product: Product::Nginx,
        version,
        source: Source::Own { program: program.to_owned(), source: source.map(Path::to_owned) },
        artifacts: vec![Artifact::NginxModule],
        http3: arguments.iter().any(|argument| argument == "--with-http_v3_module"),
        suites: Some(words(&["vectors", "hosts", "tls"])),
        all: words(&["replay"]),
        package: None,
        since: String::new(),
        aarch64: None,
        machine: Machine::This,
    })))
}

/// `nginx version: nginx/1.22.1 (Ubuntu)`, or `openresty/1.27.1.2`: three numbers count. Angie says its own version first,
/// and then this.
fn read(text: &str) -> Option<Said> {
    let named = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (_, version) = named("nginx version: ")?.split_whitespace().next()?.split_once('/')?;
    let numbers: Vec<_> = version.split('.').take(3).collect();
    let good = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u16>().is_ok());
    let arguments = shlex::split(named("configure arguments:").unwrap_or_default())?;
    good.then(|| Said { version: numbers.join("."), arguments, text: text.to_owned() })
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "test-only code")]
mod tests {
    use super::*;

    #[test]
    fn what_an_nginx_says_is_read() {
        for (first, version) in [
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("nginx version: nginx/1.24.0 (Ubuntu)", "1.24.0"),
            ("nginx version: openresty/1.27.1.2", "1.27.1"),
            ("Angie version: Angie/1.13.0\nnginx version: nginx/1.31.2", "1.31.2"),
        ] {
            let said = read(&format!(
                "{first}\nbuilt by gcc 12\nconfigure arguments: --prefix=/usr --with-cc-opt='-O2 -g' --with-debug\n"
            ));
            let said = said.expect(first);
            assert_eq!(said.version, version);
            assert_eq!(said.arguments, ["--prefix=/usr", "--with-cc-opt=-O2 -g", "--with-debug"]);
        }
        assert_eq!(read("nginx version: nginx/1.28.3\n").expect("it has no arguments").arguments, [""; 0]);
    }

    #[test]
    fn what_is_no_nginx_is_told_from_one() {
        for text in ["", "Envoy/1.40.0", "nginx version: nginx/1.28", "nginx version: nginx/new.er.one"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(nginx(Path::new("/nonexistent/nginx"), None).is_err_and(|problem| problem.contains("can't be run")));
    }
}
