//! The first hour with Envoy, by the documents: the whole example is started as its first lines say, the README's lines
//! in an Envoy of their own, and callbacks are sent with the script that `docs/install.md` prints.
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::proxy::{Directory, Process, free_port};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_harness::upstream::Upstream;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

const INSTALL: &str = include_str!("../../../../docs/install.md");
const README: &str = include_str!("../../../../README.md");
const EXAMPLE: &str = include_str!("../../../../envoy/envoy.yaml");

const SECRET: &str = "the-signature-secret";

/// What the README leaves out: all but the lines of the connection manager.
const AROUND: &str = r#"static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: LISTENER } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: callbacks
          route_config: { virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: application } }] }] }
LINES
  clusters:
  - name: application
    load_assignment:
      cluster_name: application
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: APPLICATION } } } }] }]
"#;

/// The one block of code of a page that begins with such a line.
fn block(page: &'static str, info: &str) -> Result<&'static str> {
    let opening = format!("\n```{info}\n");
    let mut blocks = page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next());
    let first = blocks.next().with_context(|| format!("no block {info}"))?;
    ensure!(blocks.next().is_none(), "more than one block {info}");
    Ok(first)
}

/// `envoy/envoy.yaml`, started by the command in its first lines, from the repository's root.
pub(crate) fn the_example() -> Result<()> {
    let line = EXAMPLE.lines().find_map(|line| line.strip_prefix("#   ")).context("no command in the example")?;
    let (variable, command) = line.split_once(' ').context("a variable")?;
    let (name, value) = variable.split_once('=').context("a variable")?;
    let arguments = command.strip_prefix("envoy ").context("envoy")?;
    ensure!(value == SECRET, "another secret: {value}");
    let mut envoy = Command::new(tools::find(ProxyKind::Envoy)?.program);
    envoy.current_dir(tools::root()).env(name, value).args(arguments.split(' '));
    // Other Envoys may run on this machine.
    envoy.args(["--use-dynamic-base-id", "--file-flush-interval-msec", "50"]);
    let upstream = wait(Upstream::start_at(local(18080))).context("port 18080, which the example names")?;
    let directory = Directory::new("first-hour")?;
    let mut process = Process::start(envoy, &directory.path().join("output.log"))?;
    listens(&mut process, local(18081))?;
    callbacks(&directory, block(INSTALL, "sh envoy")?, &upstream)?;
    for result in ["token_missing", "accepted", "payload_hash_mismatch"] {
        wait(process.wait_until(|| async {
            std::fs::read_to_string(directory.path().join("output.log"))
                .is_ok_and(|log| log.contains(&format!("result={result}")))
        }))
        .with_context(|| format!("{result} is not in the access log"))?;
    }
    Ok(())
}

/// The README's lines, in a connection manager that has nothing else.
pub(crate) fn of_the_readme() -> Result<()> {
    let upstream = wait(Upstream::start())?;
    let listener = free_port()?;
    let lines: String = block(README, "yaml")?.lines().map(|line| format!("          {line}\n")).collect();
    let config = AROUND
        .replace("LISTENER", &listener.port().to_string())
        .replace("APPLICATION", &upstream.address().port().to_string())
        .replace("LINES\n", &lines);
    let directory = Directory::new("first-hour")?;
    directory.write("envoy.yaml", config)?;
    let found = tools::find(ProxyKind::Envoy)?;
    std::fs::copy(&found.filter, directory.path().join("secure_callbacks.wasm"))?;
    let mut envoy = Command::new(&found.program);
    envoy.current_dir(directory.path()).env("VIDEO_SECRET", SECRET);
    envoy.args(["-c", "envoy.yaml", "--use-dynamic-base-id"]);
    let mut process = Process::start(envoy, &directory.path().join("output.log"))?;
    listens(&mut process, listener)?;
    let commands = block(INSTALL, "sh envoy")?.replace("127.0.0.1:18081", &listener.to_string());
    callbacks(&directory, &commands, &upstream)
}

/// A signed callback, by the page's commands; the same with a changed body; and one without a token.
fn callbacks(directory: &Directory, commands: &str, upstream: &Upstream) -> Result<()> {
    directory.write("send-callback.sh", block(INSTALL, "sh send-callback.sh")?)?;
    let signed = shell(directory.path(), commands)?;
    ensure!(signed.starts_with("HTTP/1.1 200"), "signed: {signed}");
    ensure!(upstream.totals().requests == 1, "signed: {:?}", upstream.totals());
    let forged = shell(directory.path(), &format!("{commands} -d forged"))?;
    ensure!(forged.starts_with("HTTP/1.1 401"), "forged: {forged}");
    let url = commands.split_whitespace().last().context("a URL")?;
    let unsigned = shell(directory.path(), &format!("curl -sSi {url} -d '{{}}'"))?;
    ensure!(unsigned.starts_with("HTTP/1.1 401"), "unsigned: {unsigned}");
    ensure!(upstream.totals().requests == 1, "a forgery arrived: {:?}", upstream.totals());
    Ok(())
}

fn shell(directory: &Path, commands: &str) -> Result<String> {
    let mut shell = Command::new("sh");
    let output = shell.args(["-euc", commands]).current_dir(directory).env("VIDEO_SECRET", SECRET).output()?;
    ensure!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn listens(process: &mut Process, address: SocketAddr) -> Result<()> {
    wait(process.wait_until(|| async { TcpStream::connect(address).is_ok() }))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
