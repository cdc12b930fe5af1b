//! The example for newcomers, `packaging/docker`: started with one command, it shows a callback that is taken and one that
//! is refused.
use crate::engine::{self, docker};
use anyhow::{Context, Result};
use secure_callbacks_harness::tools;
use std::time::Duration;

const PROJECT: &str = "secure-callbacks-example";

/// What its outputs have, by service.
const SHOWN: [(&str, &str); 5] = [
    ("caller", "signed: HTTP/1.1 204"),
    ("caller", "forged: HTTP/1.1 401"),
    ("application", "got POST /callbacks/signed, accepted, api_key=a1b2c3d: {"),
    ("nginx", "callback /callbacks/signed 204 result=accepted"),
    ("nginx", "code=payload_hash_mismatch"),
];

/// Signs with the secret that nginx has from the environment.
const FROM_THE_ENVIRONMENT: &str = "printf the-secret-of-before-from-the-environment > /tmp/secret; \
    sh /send-callback.sh /tmp/secret a1b2c3d http://nginx:8080/callbacks/environment";

/// Starts it and looks. Returns how many things it looked at; adds what is wrong.
pub(crate) async fn run(wrong: &mut Vec<String>) -> Result<usize> {
    let base = tools::root().join("tests/docker/base-image").display().to_string();
    engine::run(&base, &[]).await.context("the base image")?;
    down().await?;
    compose(&["build"]).await.context("building the example's images")?;
    compose(&["up", "-d"]).await.context("starting the example")?;
    look(wrong).await
}

/// Stops it, if it runs.
pub(crate) async fn down() -> Result<()> {
    compose(&["down", "--remove-orphans", "--timeout", "1"]).await
}

async fn compose(words: &[&str]) -> Result<()> {
    let program = engine::compose().await?;
    let file = tools::root().join("packaging/docker/compose.yaml").display().to_string();
    let words = [&program[1..], &["-p", PROJECT, "-f", &file], words].concat();
    engine::run(program[0], &words).await.map(drop)
}

async fn look(wrong: &mut Vec<String>) -> Result<usize> {
    let caller = container("caller").await?;
    docker(&["wait", &caller]).await?;
    // The engine takes lines with a delay.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (service, text) in SHOWN {
        let printed = docker(&["logs", &container(service).await?]).await?;
        if !printed.output.contains(text) && !printed.errors.contains(text) {
            wrong.push(format!("the example's {service} does not say {text:?}"));
        }
    }
    let application = docker(&["logs", &container("application").await?]).await?;
    if application.output.matches("got POST").count() != 1 {
        wrong.push("the forged callback has reached the example's application".into());
    }
    let nginx = container("nginx").await?;
    let format = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.State.Health.Status}}";
    let state = docker(&["inspect", "--format", format, &nginx]).await?.output;
    if state.trim() != "10001:10001 true [ALL] healthy" {
        wrong.push(format!("the example's nginx is {}", state.trim()));
    }
    let network = format!("{PROJECT}_default");
    let script = format!("{}:/send-callback.sh:ro", tools::root().join("packaging/docker/send-callback.sh").display());
    let words = ["run", "--rm", "--tmpfs", "/tmp", "--network", &network, "--volume", &script];
    let words = [words.as_slice(), &["secure-callbacks-caller", "sh", "-c", FROM_THE_ENVIRONMENT]].concat();
    let answer = docker(&words).await?.output;
    if !answer.starts_with("HTTP/1.1 204") {
        wrong.push(format!("signed with the secret from the environment: {answer}"));
    }
    Ok(SHOWN.len() + 3)
}

async fn container(service: &str) -> Result<String> {
    let project = format!("label=com.docker.compose.project={PROJECT}");
    let service_is = format!("label=com.docker.compose.service={service}");
    let found = docker(&["ps", "-aq", "--filter", &project, "--filter", &service_is]).await?.output;
    found.lines().next().map(str::to_owned).with_context(|| format!("the example has no container of {service}"))
}
