//! The Docker engine and Compose, by their command lines. Compose is `docker compose` or the older `docker-compose`.
use anyhow::{Result, anyhow, bail};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long one command may take: longer is a failure, never a hang.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a command printed.
pub(crate) struct Printed {
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// Runs a command to its end; its last line of complaint is the error.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Result<Printed> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    // The older Compose gives up on the engine after a minute, which a busy machine may take to start five containers.
    command.env("COMPOSE_HTTP_TIMEOUT", PATIENCE.as_secs().to_string());
    let name = || format!("`{program} {}`", arguments.join(" ").chars().take(80).collect::<String>());
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let ended = ended.map_err(|_| anyhow!("{} did not end within {PATIENCE:?}", name()))?;
    let ended = ended.map_err(|error| anyhow!("{} could not be started: {error}", name()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = Printed { output: text(&ended.stdout), errors: text(&ended.stderr) };
    if ended.status.success() {
        return Ok(printed);
    }
    match known(&printed) {
        Some(problem) => bail!("{problem}"),
        None => bail!("{}: {}", name(), complaint(&printed)),
    }
}

/// Runs `docker`.
pub(crate) async fn docker(arguments: &[&str]) -> Result<Printed> {
    run("docker", arguments).await
}

/// The Compose that is there.
pub(crate) async fn compose() -> Result<&'static [&'static str]> {
    if let Err(error) = docker(&["version", "--format", "{{.Server.Version}}"]).await {
        bail!("no Docker engine answers: {error:#}");
    }
    for words in [["docker", "compose"].as_slice(), &["docker-compose"]] {
        let mut arguments = words[1..].to_vec();
        arguments.push("version");
        if run(words[0], &arguments).await.is_ok() {
            return Ok(words);
        }
    }
    bail!("there is no Compose: neither `docker compose` nor `docker-compose` is there")
}

fn lines(printed: &Printed) -> impl DoubleEndedIterator<Item = &str> {
    printed.errors.lines().chain(printed.output.lines()).map(str::trim).filter(|line| !line.is_empty())
}

/// What people can do something about, in words of ours.
fn known(printed: &Printed) -> Option<String> {
    let taken = |line: &&str| line.contains("port is already allocated") || line.contains("address already in use");
    if let Some(line) = lines(printed).find(taken) {
        let port = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).unwrap_or("127.0.0.1");
        let port = port.trim_end_matches(':');
        return Some(format!(
            "the port {port} is taken: stop what listens there, or set ENVOY_PORT, ENVOY_MODULE_PORT or NGINX_PORT"
        ));
    }
    let overlaps = lines(printed).any(|line| line.contains("overlap"));
    let words = "the containers' network overlaps with another: set INSIDE_NETWORK to three free numbers, as 10.99.1";
    overlaps.then(|| words.into())
}

/// One line out of many.
fn complaint(printed: &Printed) -> &str {
    // The older Compose ends a line of progress so, and tells the reason in a later one.
    let progress = |line: &str| line.ends_with("... error");
    let bad =
        |line: &&str| !progress(line) && (line.to_ascii_lowercase().contains("error") || line.contains("unhealthy"));
    lines(printed).find(bad).or_else(|| lines(printed).next_back()).unwrap_or("it failed without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_and_not_the_progress() {
        let errors = "Creating x ... \nCreating x ... error\nERROR: for x  Conflict. The name is in use\nmore\n".into();
        assert_eq!(complaint(&Printed { output: String::new(), errors }), "ERROR: for x  Conflict. The name is in use");
    }

    #[test]
    fn a_port_that_is_taken_is_one_clear_line() {
        for line in [
            "ERROR: for x  Bind for 127.0.0.1:28081 failed: port is already allocated",
            "ERROR: x: Error starting userland proxy: listen tcp4 127.0.0.1:28081: bind: address already in use",
        ] {
            let errors = format!("Creating x ... error\nHost is already in use by another container\n{line}\n");
            let said = known(&Printed { output: String::new(), errors }).unwrap();
            assert!(said.starts_with("the port 127.0.0.1:28081 is taken: ") && !said.contains('\n'), "{said}");
        }
    }
}
