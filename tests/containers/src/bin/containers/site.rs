//! The Compose project: up, down, commands in its containers, and their logs.
use crate::engine::{self, Printed, docker};
use anyhow::{Context, Result, bail};
use secure_callbacks_containers::journal::{self, Entry};
use secure_callbacks_containers::load::Through;
use secure_callbacks_harness::{ids, tools};
use std::path::PathBuf;
use std::time::Duration;

const PROJECT: &str = "secure-callbacks";

/// The services that go on running.
pub(crate) const SERVICES: [&str; 5] = ["sender", "envoy", "envoy-module", "nginx", "app"];

/// The project.
pub(crate) struct Site {
    compose: &'static [&'static str],
    file: String,
}

impl Site {
    pub(crate) async fn new() -> Result<Self> {
        let file = tools::root().join("tests/docker/compose.yaml").display().to_string();
        Ok(Self { compose: engine::compose().await?, file })
    }

    /// Builds the images and starts the containers; all are healthy then.
    pub(crate) async fn up(&self) -> Result<()> {
        // What an earlier run that was killed may have left.
        self.down().await?;
        let base = tools::root().join("tests/docker/base-image").display().to_string();
        print!("{}", engine::run(&base, &[]).await.context("the base image")?.output);
        println!("images: building");
        self.compose(&["build"]).await.context("building the images")?;
        println!("containers: starting");
        if let Err(error) = self.compose(&["up", "-d"]).await {
            // Gone with the containers otherwise.
            self.keep_logs().await;
            return Err(error.context("the containers did not start"));
        }
        self.healthy().await
    }

    /// Stops and removes everything but the images.
    pub(crate) async fn down(&self) -> Result<()> {
        self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]).await.map(drop)
    }

    async fn compose(&self, words: &[&str]) -> Result<Printed> {
        let words = [&self.compose[1..], &["-p", PROJECT, "-f", &self.file], words].concat();
        engine::run(self.compose[0], &words).await
    }

    /// The container of a service; its name differs between the two Composes.
    pub(crate) async fn container(&self, service: &str) -> Result<String> {
        let filter = |label: &str, value: &str| format!("label=com.docker.compose.{label}={value}");
        let (project, service) = (filter("project", PROJECT), filter("service", service));
        let found = docker(&["ps", "-aq", "--filter", &project, "--filter", &service]).await?.output;
        found.lines().next().map(str::to_owned).with_context(|| format!("no container of {service}"))
    }

    /// Waits until every service is healthy.
    pub(crate) async fn healthy(&self) -> Result<()> {
        let mut ill = String::new();
        for _ in 0..120 {
            ill.clear();
            for service in SERVICES {
                let container = self.container(service).await?;
                let said = docker(&["inspect", "--format", "{{.State.Health.Status}}", &container]).await?.output;
                if said.trim() != "healthy" {
                    ill.push_str(&format!(" {service} ({})", said.trim()));
                }
            }
            if ill.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.keep_logs().await;
        bail!("not healthy after a minute:{ill}; what they said is in target/docker/logs")
    }

    /// Runs the program of the sender's container.
    pub(crate) async fn sender(&self, arguments: &[&str]) -> Result<String> {
        let container = self.container("sender").await?;
        Ok(docker(&[&["exec", &container, "sender"], arguments].concat()).await?.output)
    }

    /// Runs a line of shell in a service's container.
    pub(crate) async fn shell(&self, service: &str, line: &str) -> Result<String> {
        let container = self.container(service).await?;
        Ok(docker(&["exec", &container, "bash", "-c", line]).await?.output)
    }

    /// What a service printed on its standard output.
    pub(crate) async fn log(&self, service: &str) -> Result<String> {
        Ok(docker(&["logs", &self.container(service).await?]).await?.output)
    }

    /// What the application wrote down, up to now. The engine takes its lines with a delay, so a mark is made, and
    /// waited for.
    pub(crate) async fn journal(&self) -> Result<Vec<Entry>> {
        let mark = ids::unique();
        docker(&["exec", &self.container("app").await?, "app", "mark", &mark]).await?;
        for _ in 0..100 {
            let mut entries = journal::read(&self.log("app").await?);
            if let Some(end) = entries.iter().position(|entry| entry.id() == mark) {
                entries.truncate(end);
                return Ok(entries);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the application's journal does not come through: no mark within 10 s")
    }

    /// Each image and its size.
    pub(crate) async fn images(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let ours = SERVICES.map(|service| format!("secure-callbacks-{service}"));
        for image in ["debian:bookworm-slim"].into_iter().chain(ours.iter().map(String::as_str)) {
            let size = docker(&["image", "inspect", "--format", "{{.Size}}", image]).await?.output;
            lines.push(format!("image {image}: {} MB", size.trim().parse::<u64>()?.div_ceil(1_000_000)));
        }
        Ok(lines)
    }

    /// Keeps every container's log, for reading after the end.
    pub(crate) async fn keep_logs(&self) {
        let folder = Self::folder().join("logs");
        let _ = std::fs::create_dir_all(&folder);
        for service in SERVICES {
            let Ok(container) = self.container(service).await else { continue };
            if let Ok(Printed { output, errors }) = docker(&["logs", &container]).await {
                let _ = std::fs::write(folder.join(format!("{service}.log")), output);
                let _ = std::fs::write(folder.join(format!("{service}.err")), errors);
            }
        }
    }

    /// Where reports and logs go.
    pub(crate) fn folder() -> PathBuf {
        tools::target().join("docker")
    }

    /// The first three numbers of the inside network: see the Compose file.
    pub(crate) fn inside() -> String {
        std::env::var("INSIDE_NETWORK").unwrap_or_else(|_| "10.213.65".into())
    }

    /// The engine's name of a network of the Compose file.
    pub(crate) fn network(name: &str) -> String {
        format!("{PROJECT}_{name}")
    }

    pub(crate) fn print_kept(&self) {
        let compose = format!("{} -p {PROJECT} -f tests/docker/compose.yaml", self.compose.join(" "));
        println!(
            "Running until Ctrl-C: Envoy on 127.0.0.1:28081, Nginx on 127.0.0.1:28082, Envoy with the module on \
             127.0.0.1:28083, all with mutual TLS."
        );
        println!("More callbacks, freshly signed, and what the proxies and the application say:\n");
        for through in Through::ALL {
            println!("    {compose} exec sender sender table {}", through.service());
        }
        println!("    {compose} logs --follow envoy envoy-module nginx app");
    }
}
