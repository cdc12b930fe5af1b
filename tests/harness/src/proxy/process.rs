//! One proxy process: started, watched, and never left behind.
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a proxy may take to listen, and to end when told so.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program whose output goes to a file.
pub struct Process {
    child: Child,
    output: PathBuf,
}

/// What a program that was run to its end did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether it exited with zero.
    pub success: bool,
    /// Standard output and standard error.
    pub output: String,
}

impl Process {
    /// Starts `command` with both outputs going to `output`. It gets SIGTERM when this program dies in any way.
    pub fn start(mut command: Command, output: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(output)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = keeper_spawn(command).with_context(|| format!("starting {name}"))?;
        Ok(Self { child, output: output.to_owned() })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// All that it printed.
    #[must_use]
    pub fn output(&self) -> String {
        read_lossy(&self.output)
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks `ready` again and again until it says yes, the process ends or the time is up.
    pub async fn wait_until<F: Future<Output = bool>>(&mut self, mut ready: impl FnMut() -> F) -> Result<()> {
        let start = Instant::now();
        while !ready().await {
            if let Some(status) = self.ended()? {
                bail!("it ended ({status}) and said:\n{}", tail(&self.output()));
            }
            if start.elapsed() > PATIENCE {
                bail!("it was not ready after {PATIENCE:?} and said:\n{}", tail(&self.output()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send_signal(self.pid(), signal)
    }

    /// The direct children: the workers of nginx.
    #[must_use]
    pub fn children(&self) -> Vec<i32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let listed = std::fs::read_to_string(path).unwrap_or_default();
        listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Ends it in good order and waits; by force when it does not.
    pub fn stop(&mut self) {
        if matches!(self.ended(), Ok(Some(_))) {
            return;
        }
        let _ = self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            if matches!(self.ended(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it and all that it started by force, and waits.
    pub fn kill(&mut self) {
        if let Some(group) = Pid::from_raw(self.pid()) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends `signal` to one process.
pub(super) fn send_signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("no such process")?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Runs `command` to its end, 60 s at most.
pub(super) fn run(mut command: Command, output: &Path) -> Result<Outcome> {
    let file = File::create(output)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
    let mut process = Process { child: keeper_spawn(command)?, output: output.to_owned() };
    let start = Instant::now();
    loop {
        if let Some(status) = process.ended()? {
            let mut text = process.output();
            if let Some(signal) = status.signal() {
                text.push_str(&format!("\n(killed by signal {signal})"));
            }
            return Ok(Outcome { success: status.success(), output: text });
        }
        if start.elapsed() > Duration::from_secs(60) {
            bail!("it did not end within 60 s and said:\n{}", tail(&process.output()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// CPU time of the threads of one process whose name begins with `name`, by the scheduler's own count.
pub(super) fn thread_cpu(pid: i32, name: &str) -> Result<Vec<Duration>> {
    let mut used = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm"))?.starts_with(name) {
            let counts = std::fs::read_to_string(thread.join("schedstat"))?;
            used.push(Duration::from_nanos(counts.split(' ').next().context("schedstat")?.trim().parse()?));
        }
    }
    Ok(used)
}

/// The text of a file, empty when there is none, with what is not UTF-8 replaced.
#[must_use]
pub fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a log, for a failure message.
#[must_use]
pub fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Starts the command on a thread that lives as long as this program. The signal at a parent's death is sent when the
/// *thread* that started the child ends, so a test's own thread will not do.
fn keeper_spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static KEEPER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (command, reply) in inbox {
                let _ = reply.send(spawn_tied(command));
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    let gone = || std::io::Error::other("the thread that starts programs is gone");
    keeper.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn spawn_tied(mut command: Command) -> std::io::Result<Child> {
    // SAFETY: the closure runs between fork and exec and makes one system call that is safe there; it allocates
    // nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    command.spawn()
}
