//! One real server: started, asked by hand, stopped and paused.

use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::{Client, Connection, FromRedisValue, Value, cmd};
use rustix::process::Signal;
use secure_callbacks::Secret;
use secure_callbacks_harness::proxy::{Directory, Process, free_port};
use secure_callbacks_harness::tools;
use secure_callbacks_proxies::Engine;
use secure_callbacks_store::Settings;

/// What is waited for an answer where no test says otherwise: many times what a busy machine takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// A running server. It keeps nothing on disk.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    engine: &'static Engine,
    arguments: Vec<String>,
    /// For what this file asks by hand.
    password: Option<&'static str>,
    directory: Directory,
    process: Option<Process>,
}

impl Server {
    /// One without a password.
    pub(crate) fn start(engine: &'static Engine) -> Result<Self> {
        Self::with(engine, &[], None)
    }

    /// With these arguments; `password` is what the user `default` then has.
    pub(crate) fn with(engine: &'static Engine, arguments: &[&str], password: Option<&'static str>) -> Result<Self> {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let directory = Directory::new(engine.name)?;
        let mut server = Self { address: free_port()?, engine, arguments, password, directory, process: None };
        server.go()?;
        Ok(server)
    }

    /// Starts it, again, with nothing in it.
    pub(crate) fn go(&mut self) -> Result<()> {
        let port = self.address.port().to_string();
        let mut command = Command::new(self.engine.program(&tools::target(), "server"));
        command.args(["--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0", "--dir"]);
        command.arg(self.directory.path()).args(["--port", &port]).args(&self.arguments);
        let mut process = Process::start(command, &self.directory.path().join("log"))?;
        let begun = Instant::now();
        while self.connection().is_err() {
            if process.ended()?.is_some() || begun.elapsed() > Duration::from_secs(10) {
                bail!("no server: {}", process.output());
            }
            sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it; what it knew is gone.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// `SIGSTOP`: it takes what is sent, and does nothing.
    pub(crate) fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub(crate) fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("it is not running")?.signal(signal)
    }

    /// What it answers to a command.
    pub(crate) fn asked<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        let mut command = cmd(words.first().context("no command")?);
        words.iter().skip(1).for_each(|word| {
            command.arg(*word);
        });
        Ok(command.query(&mut self.connection()?)?)
    }

    /// The numbers of its connections, but for the one that asks.
    pub(crate) fn connections(&self) -> Result<Vec<u64>> {
        let list: String = self.asked(&["CLIENT", "LIST", "TYPE", "normal"])?;
        let others = list.lines().filter(|line| !line.contains("cmd=client"));
        let number = |line: &str| line.split(' ').find_map(|word| word.strip_prefix("id=")?.parse().ok());
        others.map(|line| number(line).context("no id")).collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What leads a store here.
    pub(crate) fn settings(&self) -> Settings {
        settings(&self.url(), None, TIMEOUT)
    }

    fn connection(&self) -> Result<Connection> {
        let address = self.address;
        let user = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        let client = Client::open(format!("redis://{user}{address}"))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let _: Value = cmd("PING").query(&mut connection)?;
        Ok(connection)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is paused would not take the signal that ends it.
        self.go_on().unwrap_or_default();
    }
}

pub(crate) fn settings(url: &str, password: Option<&str>, timeout: Duration) -> Settings {
    let password = password.map(|password| Secret::new(password.as_bytes().to_vec()).unwrap());
    Settings::new(vec![url.to_owned()], password, timeout).unwrap()
}
