//! Several proxies before one application, on one replay store.
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::{Directory, Ports, Process, Proxy, envoy, free_port};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Reply};
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::{merged, policy};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// A real Redis, which remembers nothing on disk.
pub(crate) struct Redis {
    process: Option<Process>,
    address: SocketAddr,
    directory: Directory,
}

impl Redis {
    pub(crate) fn start() -> Result<Self> {
        let mut redis = Self { process: None, address: free_port()?, directory: Directory::new("redis")? };
        redis.start_again()?;
        Ok(redis)
    }

    /// Starts it, empty, where it was.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.directory.path());
        self.process = Some(Process::start(command, &self.directory.path().join("redis.log"))?);
        let begun = Instant::now();
        while self.ask(&["PING"]).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it by force, and what it remembered with it.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Has it neither answer nor hang up, or go on.
    pub(crate) fn pause(&self, pause: bool) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        process.signal(if pause { Signal::STOP } else { Signal::CONT })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The first line of its answer.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
        let command: String = words.iter().map(word).collect();
        (&stream).write_all(format!("*{}\r\n{command}", words.len()).as_bytes())?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        ensure!(!line.starts_with('-'), "{line}");
        Ok(line.trim_end().to_owned())
    }
}

/// One proxy of a fleet.
pub(crate) struct Member {
    pub(crate) kind: ProxyKind,
    pub(crate) proxy: Proxy,
    ports: Ports,
}

impl Member {
    pub(crate) fn start(kind: ProxyKind, policy: &Value, application: SocketAddr) -> Result<Self> {
        let policies = BTreeMap::from([(NAME.to_owned(), policy.clone())]);
        let proxy = envoy::with(kind, || wait(Proxy::with_policies(kind, &policies, application)))?;
        let ports = proxy.ports(NAME);
        Ok(Self { kind, proxy, ports })
    }

    pub(crate) fn send(&self, callback: &Callback) -> Result<Reply> {
        wait(send::send(self.ports, &callback.message))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.ports.http1
    }
}

/// The policy's name, which all members have to share.
const NAME: &str = "video";

/// A fleet.
pub(crate) struct Fleet {
    pub(crate) redis: Redis,
    pub(crate) upstream: Upstream,
    pub(crate) members: Vec<Member>,
    policy: Value,
}

impl Fleet {
    /// One of these kinds each, with more in the shared store's settings.
    pub(crate) fn start(kinds: &[ProxyKind], more: Value) -> Result<Self> {
        let redis = Redis::start()?;
        let upstream = wait(Upstream::start())?;
        let store = merged(json!({ "url": redis.url() }), &more);
        let policy = policy(json!({ "name": NAME, "replay_store": store, "expose_reason": true }));
        let members = kinds.iter().map(|kind| Member::start(*kind, &policy, upstream.address()));
        let members = members.collect::<Result<_>>()?;
        Ok(Self { redis, upstream, members, policy })
    }

    /// A member that starts anew, and has forgotten what it knew by itself.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        let kind = self.members[index].kind;
        let new = Member::start(kind, &self.policy, self.upstream.address())?;
        self.members[index] = new;
        Ok(())
    }

    /// Sends to a member, whose answer must be this.
    pub(crate) fn is(&self, index: usize, callback: &Callback, status: u16, code: Option<&str>) -> Result<()> {
        let member = &self.members[index];
        let reply = member.send(callback)?;
        let found = (reply.status, reply.code());
        ensure!(
            found == (status, code.map(ToOwned::to_owned)),
            "{} (member {index}) answers {found:?} instead of {status} {code:?}; its log: {}",
            member.kind.name(),
            secure_callbacks_harness::proxy::tail(&member.proxy.log()),
        );
        Ok(())
    }
}
