//! Starting other programs: shown as they run, kept in a log under a line of progress, or read.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, str};

use crate::jobs::Progress;

/// What went wrong, in words for the person at the terminal.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// How much of a log is shown when its step failed.
const LOG_TAIL: usize = 30;

/// The repository's root. Taken from cargo when it runs us, so that a moved clone still finds itself.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where tools, artifacts and logs are: always the clone's own `target`, also when cargo works elsewhere.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Where cargo keeps what it compiles: `CARGO_TARGET_DIR`, or `target`.
pub(crate) fn cargo_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(target, |directory| root().join(directory))
}

/// A path as people read it: from the root of the clone.
pub(crate) fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// A program with its arguments, run from the repository's root.
pub(crate) struct Cmd {
    command: Command,
}

impl Cmd {
    /// A program by name or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(root());
        // Set by the cargo that runs us and meant for us alone: passed on, they would make cargo believe that what
        // it compiles has changed.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        Self { command }
    }

    /// The cargo that runs us.
    pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        Self::new(cargo).args(arguments)
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds one argument.
    pub(crate) fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// For a cargo command whose artifact leaves this machine: no path of it gets in (messages of panics have some).
    /// `flags` are further ones for rustc.
    pub(crate) fn portable(self, target: &Path, flags: &[&str]) -> Self {
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        let given = env::var("RUSTFLAGS").unwrap_or_default();
        let mut flags: Vec<_> = given.split_whitespace().chain(flags.iter().copied()).map(String::from).collect();
        // Of several that fit a path the last one counts.
        for (from, to) in [(root(), "/secure-callbacks"), (cargo, "/cargo"), (target.to_path_buf(), "/target")] {
            flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        }
        self.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
    }

    /// Runs the program in another directory.
    pub(crate) fn dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it with its output on the terminal.
    ///
    /// Where that is no terminal, whose reader may see only the end of it all, the error repeats the last lines.
    pub(crate) fn shown(mut self) -> Result<()> {
        if std::io::stdout().is_terminal() {
            let status = self.command.status();
            return self.judge(status);
        }
        let mut last = VecDeque::new();
        let ended = self.lines(|line| {
            println!("{line}");
            flush();
            last.push_back(format!("\n{line}"));
            if last.len() > LOG_TAIL {
                last.pop_front();
            }
        });
        ended.map_err(|problem| last.iter().fold(problem, |problem, line| problem + line))
    }

    /// Runs it and returns what it printed, standard error included where that is where it prints.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output().map_err(|error| self.not_started(&error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(if output.stdout.is_empty() { &output.stderr } else { &output.stdout }));
        }
        Err(format!("`{}` ended with {}\n{}", self.words(), output.status, text(&output.stderr)))
    }

    /// Runs it and hands each line it prints to `line`, in order, those on standard error too; on a terminal those go
    /// there, with their colours and lines of progress.
    pub(crate) fn lines(mut self, mut line: impl FnMut(&str)) -> Result<()> {
        let failed = |error| format!("no pipe: {error}");
        let (printed, writer) = std::io::pipe().map_err(failed)?;
        if !std::io::stderr().is_terminal() {
            self.command.stderr(writer.try_clone().map_err(failed)?);
        }
        let mut child = self.command.stdout(writer).spawn().map_err(|error| self.not_started(&error))?;
        // The command holds the writing end too: the reading would not end.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        // Bytes, not `lines()`: a test may print what is not UTF-8, and that must not end the reading.
        for bytes in BufReader::new(printed).split(b'\n') {
            let bytes = bytes.map_err(|error| format!("`{}`: {error}", self.words()))?;
            line(&String::from_utf8_lossy(&bytes));
        }
        let status = child.wait();
        self.judge(status)
    }

    /// Runs it with its output in `target/logs/NAME.log`, under a line that shows that it is alive.
    pub(crate) fn logged(mut self, name: &str) -> Result<()> {
        let log = target().join("logs").join(format!("{name}.log"));
        let file = open_log(&log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        self.command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let mut child = self.command.spawn().map_err(|error| self.not_started(&error))?;
        let shown = Progress::begin(&log);
        let status = loop {
            match child.try_wait() {
                Ok(None) => Progress::tick(),
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            }
            sleep(Duration::from_millis(100));
        };
        drop(shown);
        self.judge(status)
            .map_err(|problem| format!("{problem}\nThe end of {}:\n{}", short(&log), tail(&read_lossy(&log), LOG_TAIL)))
    }

    fn judge(&self, status: std::io::Result<ExitStatus>) -> Result<()> {
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{}` ended with {status}", self.words())),
            Err(error) => Err(self.not_started(&error)),
        }
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        format!("`{}` could not be started: {error}", self.words())
    }

    fn words(&self) -> String {
        // The program by its name alone: where a tool is installed says nothing about what went wrong.
        let program = Path::new(self.command.get_program());
        let program = program.file_name().unwrap_or(program.as_os_str());
        let words = std::iter::once(program).chain(self.command.get_args());
        words.map(|word| short(Path::new(word))).collect::<Vec<_>>().join(" ")
    }
}

/// Output of ours and of the programs we start must come in the order it happened, also into a pipe.
pub(crate) fn flush() {
    // A closed standard output is found out by the next print.
    std::io::stdout().flush().ok();
}

/// Whether a program is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    // Debian keeps `/usr/sbin` off the search path of ordinary users, and nginx in it.
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into()]).any(|directory| directory.join(program).is_file())
}

fn open_log(log: &Path) -> std::io::Result<File> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)?;
    }
    File::create(log)
}

/// A file, or nothing.
pub(crate) fn read_lossy(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

fn tail(text: &str, lines: usize) -> String {
    let count = text.lines().count();
    text.lines().skip(count.saturating_sub(lines)).map(|line| format!("    {line}\n")).collect()
}
