//! The nginx of another suite of Debian's than the system's, or for aarch64: its program, its headers and its libraries,
//! unpacked into `target/tools` and run by the loader of that suite, or emulated. Nothing of it is installed, and its
//! version is whatever the suite has now.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies::{self as proxies, Machine, Proxy};

use crate::cross;
use crate::nginx::{self, SYSTEM_SOURCE};
use crate::sh::{self, Cmd, Result};

/// What Debian signs its suites with: whichever of the machine's sources is a mirror of Debian's passes, and no other.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What nginx's `configure` looks for, for aarch64.
const LIBRARIES: [&str; 4] = ["libcrypt-dev", "libpcre2-dev", "libssl-dev", "zlib1g-dev"];

/// Packages of a suite of Debian's.
pub(crate) struct Suite<'a> {
    /// The suite, such as `unstable`.
    name: &'a str,
    machine: Machine,
    /// Where they are unpacked. What is configured from nginx's headers is in directories beside it.
    home: PathBuf,
    /// The packages; the libraries that nginx needs come with them.
    packages: &'static [&'static str],
}

impl<'a> Suite<'a> {
    /// The nginx that this entry is about, and its headers.
    pub(crate) fn of(proxy: &Proxy, name: &'a str) -> Self {
        Self { name, machine: proxy.machine, home: proxy.home(&sh::target()), packages: &["nginx", "nginx-dev"] }
    }

    /// What nginx is configured and compiled with for aarch64, from the suite that the system's own is of.
    pub(crate) fn libraries() -> Result<Self> {
        Ok(Self { name: proxies::debian()?, machine: Machine::Aarch64, home: cross::home(), packages: &LIBRARIES })
    }

    /// The headers and `configure` of its `nginx-dev`.
    pub(crate) fn source(&self) -> PathBuf {
        self.inside(SYSTEM_SOURCE)
    }

    /// Whether the packages are downloaded.
    pub(crate) fn is_downloaded(&self) -> bool {
        self.complete().is_file()
    }

    /// Downloads the packages, and the libraries that nginx needs. An error: the suite is out of reach from here.
    pub(crate) fn download(&self) -> Result<()> {
        if !sh::on_path("apt-get") {
            return Err("there is no apt-get here".into());
        }
        if !Path::new(KEYRING).is_file() {
            return Err(format!("there is no {KEYRING} here"));
        }
        nginx::remove(&self.home)?;
        for directory in ["lists/partial", "cache/archives/partial"] {
            make(&self.apt().join(directory))?;
        }
        make(&self.downloaded())?;
        let mut problem = None;
        for mirror in self.mirrors()? {
            match self.download_from(&mirror) {
                Ok(()) => {
                    nginx::remove(&self.apt())?;
                    return write(&self.complete(), "");
                }
                Err(failed) => problem = problem.or(Some(failed)),
            }
        }
        let problem = problem.unwrap_or_default();
        // What apt says is wrong, if it came to say so.
        let why = problem.lines().map(str::trim).rfind(|line| line.starts_with("E: ")).or(problem.lines().next());
        let why = why.unwrap_or("there are none");
        Err(format!("the suite {} can't be had from the system's package sources: {why}", self.name))
    }

    /// Unpacks what was downloaded.
    pub(crate) fn unpack(&self) -> Result<()> {
        let root = self.inside("");
        nginx::remove(&root)?;
        make(&root)?;
        for package in self.files()? {
            Cmd::new("dpkg").arg("-x").args([&package, &root]).output()?;
        }
        // Where programs look for their loader. Suites that have it in `usr` alone make this link when they are installed.
        let lib = self.inside("lib");
        if lib.exists() {
            return Ok(());
        }
        symlink("usr/lib", &lib).map_err(|error| format!("cannot link {}: {error}", lib.display()))
    }

    /// The packages that were downloaded.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.downloaded()).map_err(|error| format!("cannot read the packages: {error}"))?;
        let files = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|name| name == "deb")).collect();
        files.sort();
        Ok(files)
    }

    /// Writes the script that starts its nginx.
    pub(crate) fn write_program(&self, file: &Path) -> Result<()> {
        if self.machine != Machine::This {
            return cross::write_emulated(file, &self.inside(""), &self.inside("/usr/sbin/nginx"));
        }
        let loader = self.loader().ok_or("libc6 brought no loader")?;
        let relative = |path: &Path| path.strip_prefix(&self.home).unwrap_or(path).display().to_string();
        let script = format!(
            "#!/bin/sh\n# Nginx by the loader and with the libraries of its own suite.\nhere=$(dirname \"$0\")\n\
         exec \"$here/{}\" --library-path \"$here/{}\" \"$here/root/usr/sbin/nginx\" \"$@\"\n",
            relative(&loader),
            relative(loader.parent().unwrap_or(&loader)),
        );
        cross::write_script(file, &script)
    }

    /// The bases of the system's package sources, in whatever form those are written.
    fn mirrors(&self) -> Result<Vec<String>> {
        let lists = format!("Dir::State::Lists={}", self.apt().join("lists").display());
        let told = Cmd::new("apt-get").args(["-o", &lists, "update", "--print-uris"]).output()?;
        Ok(bases(&told))
    }

    fn download_from(&self, mirror: &str) -> Result<()> {
        let suite = self.name;
        let source = format!(
            "Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nTargets: Packages\nSigned-By: {KEYRING}\n"
        );
        write(&self.apt().join("suite.sources"), &source)?;
        write(&self.apt().join("apt.conf"), &self.configuration())?;
        let log = |step: &str| format!("setup-{}-{step}", self.home.file_name().unwrap_or_default().display());
        self.asked("apt-get").args(["update"]).logged(&log("update"))?;
        let needs = self.asked("apt-cache").args(["depends", "nginx"]).output()?;
        let libraries = needs.lines().filter_map(|line| line.trim_start_matches([' ', '|']).strip_prefix("Depends: "));
        let libraries = libraries.filter(|name| name.starts_with("lib") || name.starts_with("zlib"));
        let all = self
            .asked("apt-cache")
            .args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-enhances"])
            .args(["--no-conflicts", "--no-breaks", "--no-replaces"])
            .args(libraries)
            .output()?;
        // Names stand at the beginning of their lines; `<name>` is a virtual one.
        let all = all.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
        self.asked("apt-get")
            .arg("download")
            .args(self.packages)
            .args(all)
            .dir(self.downloaded())
            .logged(&log("download"))
    }

    /// What makes apt know the one suite, and nothing of what is installed.
    fn configuration(&self) -> String {
        let apt = self.apt();
        let settings = [
            ("Dir::State::Lists", apt.join("lists").display().to_string()),
            ("Dir::State::status", "/dev/null".into()),
            ("Dir::Cache", apt.join("cache").display().to_string()),
            ("Dir::Etc::sourcelist", apt.join("suite.sources").display().to_string()),
            ("Dir::Etc::sourceparts", "/nonexistent".into()),
            ("Dir::Etc::preferences", "/nonexistent".into()),
            ("Dir::Etc::preferencesparts", "/nonexistent".into()),
            // Otherwise lists that can't be had are a warning.
            ("APT::Update::Error-Mode", "any".into()),
        ];
        let another = [("APT::Architecture", cross::DEBIAN.into()), ("APT::Architectures", cross::DEBIAN.into())];
        let another = another.iter().filter(|_| self.machine != Machine::This);
        settings.iter().chain(another).map(|(name, value)| format!("{name} \"{value}\";\n")).collect()
    }

    /// A command of apt's so configured.
    fn asked(&self, program: &str) -> Cmd {
        Cmd::new(program).arg("-c").arg(self.apt().join("apt.conf"))
    }

    fn apt(&self) -> PathBuf {
        self.home.join("apt")
    }

    fn downloaded(&self) -> PathBuf {
        self.home.join("packages")
    }

    fn complete(&self) -> PathBuf {
        self.downloaded().join("complete")
    }

    /// A path of that suite's system.
    fn inside(&self, path: &str) -> PathBuf {
        self.home.join("root").join(path.trim_start_matches('/'))
    }

    /// It lies in a directory named after the machine, beside the libraries.
    fn loader(&self) -> Option<PathBuf> {
        let machines = fs::read_dir(self.inside("/usr/lib")).into_iter().flatten().flatten();
        let mut files = machines.flat_map(|machine| fs::read_dir(machine.path()).into_iter().flatten().flatten());
        let is_loader = |name: &str| name.starts_with("ld-linux") && name.contains(".so.");
        files.find(|file| is_loader(&file.file_name().to_string_lossy())).map(|file| file.path())
    }
}

/// Of `'BASE/dists/SUITE/InRelease' FILE SIZE`, each base once.
fn bases(told: &str) -> Vec<String> {
    let mut bases = Vec::new();
    for line in told.lines().filter(|line| line.contains("/InRelease'")) {
        let base = line.trim_start_matches('\'').split_once("/dists/").map(|(base, _)| base.to_owned());
        bases.extend(base.filter(|base| !bases.contains(base)));
    }
    bases
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bases_of_the_sources_are_found_whatever_their_suites() {
        let told = "'http://mirror.example/debian/dists/a/InRelease' mirror.example_a_InRelease 0 \n\
            'http://mirror.example/debian/dists/a-updates/InRelease' x 0 \n\
            'http://mirror.example/debian/dists/a/main/binary-amd64/Packages.xz' x 0 \n\
            'file:/srv/other/dists/a/InRelease' x 0 \n";
        assert_eq!(bases(told), ["http://mirror.example/debian", "file:/srv/other"]);
        assert!(bases("").is_empty());
    }
}
