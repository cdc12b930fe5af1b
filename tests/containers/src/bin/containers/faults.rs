//! What goes wrong on purpose.
use crate::engine::docker;
use crate::site::Site;
use anyhow::{Result, ensure};

/// What a container hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cable {
    service: &'static str,
    network: &'static str,
    /// Whether it has the same address again afterwards.
    fixed: bool,
}

/// The application's: Nginx looks it up once.
pub(crate) const APP: Cable = Cable { service: "app", network: "inside", fixed: true };
/// The sender's.
pub(crate) const SENDER: Cable = Cable { service: "sender", network: "outside", fixed: false };

/// One fault, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The container is told to stop.
    Stop(&'static str),
    /// The container is killed without a warning.
    Kill(&'static str),
    /// A stopped or killed container starts again.
    Start(&'static str),
    /// A container's cable is pulled.
    Cut(Cable),
    /// It is plugged in again.
    Mend(Cable),
    /// Nginx takes its configuration anew: new workers, the old ones finish.
    ReloadNginx,
    /// One worker process of Nginx is killed.
    KillWorker,
    /// This Envoy takes no more connections and finishes what it has.
    Drain(&'static str),
}

impl Fault {
    pub(crate) async fn happen(self, site: &Site) -> Result<()> {
        match self {
            Self::Stop(service) => docker(&["stop", "-t", "5", &site.container(service).await?]).await.map(drop),
            Self::Kill(service) => docker(&["kill", &site.container(service).await?]).await.map(drop),
            Self::Start(service) => docker(&["start", &site.container(service).await?]).await.map(drop),
            Self::Cut(Cable { service, network, .. }) => {
                let (network, container) = (Site::network(network), site.container(service).await?);
                docker(&["network", "disconnect", "--force", &network, &container]).await.map(drop)
            }
            Self::Mend(Cable { service, network, fixed }) => {
                let (network, container) = (Site::network(network), site.container(service).await?);
                let address = format!("{}.10", Site::inside());
                let at: &[&str] = if fixed { &["--ip", &address] } else { &[] };
                let words = [&["network", "connect", "--alias", service][..], at, &[&network, &container]].concat();
                docker(&words).await.map(drop)
            }
            Self::ReloadNginx => docker(&["kill", "--signal", "HUP", &site.container("nginx").await?]).await.map(drop),
            Self::KillWorker => {
                // The master is the container's first process; of its workers the one with most connections dies. The
                // slim image has neither ps nor pgrep.
                let line = "most=0; for worker in $(</proc/1/task/1/children); do open=(/proc/$worker/fd/*); \
                            if [ ${#open[@]} -gt $most ]; then most=${#open[@]}; busy=$worker; fi; done; \
                            kill -9 $busy && echo killed";
                let said = site.shell("nginx", line).await?;
                ensure!(said.trim() == "killed", "no worker could be killed: {said:?}");
                Ok(())
            }
            Self::Drain(service) => {
                // Over when nothing listens any more: only then can a stop cut nobody off.
                let line = "exec 3<>/dev/tcp/127.0.0.1/9901 && printf 'POST /drain_listeners?graceful \
                            HTTP/1.1\\r\\nHost: admin\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' >&3 \
                            && cat <&3; \
                            for _ in {1..150}; do (exec 4<>/dev/tcp/127.0.0.1/8443) 2>/dev/null || { sleep 1; echo drained; exit; }; \
                            sleep 0.2; done";
                let said = site.shell(service, line).await?;
                ensure!(said.contains("200 OK") && said.contains("drained"), "{service} does not drain: {said:?}");
                Ok(())
            }
        }
    }
}
