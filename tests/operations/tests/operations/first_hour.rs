//! The first hour with Envoy, by the documents: the whole example is started as its first lines say, the lines of the README
//! (for the module, of `docs/install.md`) in an Envoy of their own, and callbacks are sent with the script that
//! `docs/install.md` prints.
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
const MODULE_EXAMPLE: &str = include_str!("../../../../envoy/module/envoy.yaml");

const SECRET: &str = "the-signature-secret";

/// What the pages leave out: all but the lines of the connection manager.
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

/// What the lines for the module leave to the whole example.
const ROUTER: &str = r#"- name: envoy.filters.http.router
  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
"#;

/// The one block of code of a page that begins with such a line.
fn block(page: &'static str, info: &str) -> Result<&'static str> {
    let opening = format!("\n```{info}\n");
    let mut blocks = page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next());
    let first = blocks.next().with_context(|| format!("no block {info}"))?;
    ensure!(blocks.next().is_none(), "more than one block {info}");
    Ok(first)
}

/// The example, started by the command in its first lines, from the repository's root.
pub(crate) fn the_example(kind: ProxyKind) -> Result<()> {
    let (example, listener) = match kind {
        ProxyKind::EnvoyModule => (MODULE_EXAMPLE, local(18085)),
        _ => (EXAMPLE, local(18081)),
    };
    let line = example.lines().find_map(|line| line.strip_prefix("#   ")).context("no command in the example")?;
    let (variables, arguments) = line.split_once(" envoy ").context("envoy")?;
    let mut envoy = Command::new(tools::find(kind)?.program);
    envoy.current_dir(tools::root()).args(arguments.split(' '));
    for variable in variables.split(' ') {
        let (name, value) = variable.split_once('=').context("a variable")?;
        envoy.env(name, value);
    }
    ensure!(variables.contains(&format!("VIDEO_SECRET={SECRET}")), "another secret: {variables}");
    // Other Envoys may run on this machine.
    envoy.args(["--use-dynamic-base-id", "--file-flush-interval-msec", "50"]);
    let upstream = wait(Upstream::start_at(local(18080))).context("port 18080, which the example names")?;
    let directory = Directory::new("first-hour")?;
    let mut process = Process::start(envoy, &directory.path().join("output.log"))?;
    listens(&mut process, listener)?;
    callbacks(&directory, listener, &upstream)?;
    for result in ["token_missing", "accepted", "payload_hash_mismatch"] {
        wait(process.wait_until(|| async {
            std::fs::read_to_string(directory.path().join("output.log"))
                .is_ok_and(|log| log.contains(&format!("result={result}")))
        }))
        .with_context(|| format!("{result} is not in the access log"))?;
    }
    Ok(())
}

/// The pages' lines, in a connection manager that has nothing else: for the sandbox the README's, for the module those of
/// `docs/install.md`.
pub(crate) fn of_the_pages(kind: ProxyKind) -> Result<()> {
    let upstream = wait(Upstream::start())?;
    let listener = free_port()?;
    let found = tools::find(kind)?;
    let directory = Directory::new("first-hour")?;
    let lines = match kind {
        ProxyKind::EnvoyModule => {
            directory.write("callbacks.secret", format!("{SECRET}\n"))?;
            let secret = directory.path().join("callbacks.secret").display().to_string();
            let filter = block(INSTALL, "yaml module")?.replace("/etc/envoy/callbacks.secret", &secret);
            format!("http_filters:\n{filter}\n{ROUTER}")
        }
        _ => block(README, "yaml")?.to_owned(),
    };
    let lines: String = lines.lines().map(|line| format!("          {line}\n")).collect();
    let config = AROUND
        .replace("LISTENER", &listener.port().to_string())
        .replace("APPLICATION", &upstream.address().port().to_string())
        .replace("LINES\n", &lines);
    directory.write("envoy.yaml", config)?;
    let artifact = found.filter.file_name().context("a file")?;
    std::fs::copy(&found.filter, directory.path().join(artifact))?;
    let mut envoy = Command::new(&found.program);
    envoy.current_dir(directory.path()).env("VIDEO_SECRET", SECRET);
    envoy.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", directory.path());
    envoy.args(["-c", "envoy.yaml", "--use-dynamic-base-id"]);
    let mut process = Process::start(envoy, &directory.path().join("output.log"))?;
    listens(&mut process, listener)?;
    callbacks(&directory, listener, &upstream)
}

/// A signed callback, by the page's commands; the same with a changed body; and one without a token.
fn callbacks(directory: &Directory, listener: SocketAddr, upstream: &Upstream) -> Result<()> {
    directory.write("send-callback.sh", block(INSTALL, "sh send-callback.sh")?)?;
    let commands = block(INSTALL, "sh envoy")?.replace("127.0.0.1:18081", &listener.to_string());
    let signed = shell(directory.path(), &commands)?;
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
