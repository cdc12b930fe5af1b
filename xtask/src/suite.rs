//! Programs of another suite of Debian's than the system's, with what belongs to them and their libraries: unpacked into
//! `target/tools` and run by the loader of that suite. Nothing of it is installed, and the version is whatever the suite
//! has now.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secure_callbacks_proxies::{Engine, Proxy};

use crate::nginx::{self, SYSTEM_SOURCE};
use crate::sh::{self, Cmd, Result};

/// What Debian signs its suites with: whichever of the machine's sources is a mirror of Debian's passes, and no other.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where packages have their libraries: Debian 12's still in both.
const LIBRARIES: [&str; 2] = ["/usr/lib", "/lib"];

/// Some packages of a suite of Debian's.
pub(crate) struct Suite<'a> {
    /// Such as `unstable`.
    name: &'a str,
    /// Where they are unpacked.
    home: PathBuf,
    packages: Vec<String>,
    /// Each a script that starts a program by its own loader, and where that program is in the packages.
    programs: Vec<(PathBuf, String)>,
}

impl<'a> Suite<'a> {
    /// The nginx that this entry is about, and its headers.
    pub(crate) fn nginx(proxy: &Proxy, name: &'a str) -> Self {
        let programs = vec![(proxy.program(&sh::target()), "usr/sbin/nginx".into())];
        Self { name, home: proxy.home(&sh::target()), packages: vec!["nginx".into(), "nginx-dev".into()], programs }
    }

    /// This engine's server and what speaks to it.
    pub(crate) fn engine(engine: &'a Engine) -> Self {
        let target = sh::target();
        let program = |role| (engine.program(&target, role), format!("usr/bin/{}-{role}", engine.name));
        Self {
            name: engine.suite,
            home: engine.home(&target),
            packages: ["server", "tools"].map(|role| format!("{}-{role}", engine.name)).into(),
            programs: ["server", "cli"].map(program).into(),
        }
    }

    /// Whether its programs are there. They are written last.
    pub(crate) fn is_there(&self) -> bool {
        self.programs.iter().all(|(script, _)| script.is_file())
    }

    /// The headers and `configure` of its `nginx-dev`.
    pub(crate) fn source(&self) -> PathBuf {
        self.inside(SYSTEM_SOURCE)
    }

    /// Whether the packages are downloaded.
    pub(crate) fn is_downloaded(&self) -> bool {
        self.complete().is_file()
    }

    /// Downloads the packages and the libraries they need. An error: the suite is out of reach from here.
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
        make(&self.downloads())?;
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

    /// Unpacks what was downloaded, and writes the scripts.
    pub(crate) fn unpack(&self) -> Result<()> {
        let root = self.inside("");
        nginx::remove(&root)?;
        make(&root)?;
        let entries = fs::read_dir(self.downloads()).map_err(|error| format!("cannot read the packages: {error}"))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for package in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "deb")) {
            Cmd::new("dpkg").arg("-x").args([package, &root]).output()?;
        }
        let loader = self.loader().ok_or("libc6 brought no loader")?;
        let machine = loader.parent().and_then(Path::file_name).unwrap_or_default();
        let inside = |path: &Path| path.strip_prefix(&self.home).unwrap_or(path).display().to_string();
        let libraries = LIBRARIES.map(|place| format!("$here/{}", inside(&self.inside(place).join(machine)))).join(":");
        let loader = inside(&loader);
        for (script, program) in &self.programs {
            let text = format!(
                "#!/bin/sh\n# By the loader and with the libraries of its own suite.\nhere=$(dirname \"$0\")\n\
                 exec \"$here/{loader}\" --library-path \"{libraries}\" \"$here/root/{program}\" \"$@\"\n"
            );
            write(script, &text)?;
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(script, mode).map_err(|error| format!("cannot make a script executable: {error}"))?;
        }
        Ok(())
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
        let log = format!("setup-{}-{suite}", self.packages.join("-"));
        self.asked("apt-get").args(["update"]).logged(&format!("{log}-update"))?;
        let needs = self.asked("apt-cache").arg("depends").args(&self.packages).output()?;
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
            .args(&self.packages)
            .args(all)
            .dir(self.downloads())
            .logged(&format!("{log}-download"))
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
        settings.iter().map(|(name, value)| format!("{name} \"{value}\";\n")).collect()
    }

    /// A command of apt's so configured.
    fn asked(&self, program: &str) -> Cmd {
        Cmd::new(program).arg("-c").arg(self.apt().join("apt.conf"))
    }

    fn apt(&self) -> PathBuf {
        self.home.join("apt")
    }

    fn downloads(&self) -> PathBuf {
        self.home.join("packages")
    }

    fn complete(&self) -> PathBuf {
        self.downloads().join("complete")
    }

    /// A path of that suite's system.
    fn inside(&self, path: &str) -> PathBuf {
        self.home.join("root").join(path.trim_start_matches('/'))
    }

    /// It lies in a directory named after the machine, beside libraries.
    fn loader(&self) -> Option<PathBuf> {
        let below =
            |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let machines = LIBRARIES.iter().flat_map(|place| below(&self.inside(place)));
        let mut files = machines.flat_map(|machine| below(&machine).collect::<Vec<_>>());
        let is_loader = |name: &str| name.starts_with("ld-linux") && name.contains(".so.");
        files.find(|file| is_loader(&file.file_name().unwrap_or_default().to_string_lossy()))
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
