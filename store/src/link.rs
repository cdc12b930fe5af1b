//! The connection to the store: kept up in the background, and asked for by those who have something to send.

use secure_callbacks::replay::shared::Outcome;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::settings::Target;

/// Before the second attempt to connect; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest that is waited between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection gets so long to be made: with TLS and a password it takes several rounds, where an answer takes one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// So many commands are handed to the connection's own task at once.
const PIPELINE: usize = 256;

/// The connection, whatever its state.
pub(crate) struct Link {
    target: Target,
    state: watch::Sender<State>,
    /// The connection is of no use any more.
    lost: Notify,
}

#[derive(Clone)]
enum State {
    /// Worth waiting for.
    Connecting,
    Up(Connection),
    /// The last attempt failed; the next one is under way or to come.
    Down(Failure),
}

/// A connection that is up, or was lately.
#[derive(Clone)]
struct Connection {
    channel: Channel,
    /// Which one: those that were lost before do not end it.
    number: u64,
}

#[derive(Clone)]
enum Channel {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, state: watch::Sender::new(State::Connecting), lost: Notify::new() }
    }

    /// Connects, and connects again whenever the connection is lost. It does not end.
    pub(crate) async fn keep_up(&self) {
        let mut number = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            number += 1;
            let channel = match timeout(CONNECT_TIMEOUT, self.target.connect()).await {
                Ok(connected) => connected.map_err(Failure::from),
                Err(_) => Err(Failure::timed_out()),
            };
            match channel {
                Ok(channel) => {
                    pause = FIRST_PAUSE;
                    self.state.send_replace(State::Up(Connection { channel, number }));
                    self.lost.notified().await;
                }
                Err(failure) => {
                    self.state.send_replace(State::Down(failure));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Sends a command and waits for its answer. What meets the end of a connection is sent once more over the next.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        match self.send_once(command).await {
            Err(failure) if failure.ends_connection && failure.outcome != Outcome::NotUnderstood => {
                self.send_once(command).await
            }
            other => other,
        }
    }

    /// The connection does not answer: the next one may.
    pub(crate) fn renew(&self) {
        let number = match &*self.state.borrow() {
            State::Up(connection) => connection.number,
            State::Connecting | State::Down(_) => return,
        };
        self.end(number);
    }

    async fn send_once(&self, command: &Cmd) -> Result<Value, Failure> {
        let Connection { channel, number } = self.connection().await?;
        let answer = match channel {
            Channel::Server(mut connection) => command.query_async(&mut connection).await,
            Channel::Cluster(mut connection) => command.query_async(&mut connection).await,
        };
        answer.map_err(Failure::from).inspect_err(|failure| {
            if failure.ends_connection {
                self.end(number);
            }
        })
    }

    async fn connection(&self) -> Result<Connection, Failure> {
        let mut states = self.state.subscribe();
        loop {
            match &*states.borrow_and_update() {
                State::Up(connection) => return Ok(connection.clone()),
                State::Down(failure) => return Err(failure.clone()),
                State::Connecting => {}
            }
            // It can't end before this link, which has the other end.
            states.changed().await.map_err(|_| Failure::timed_out())?;
        }
    }

    fn end(&self, number: u64) {
        let ended = self.state.send_if_modified(|state| {
            let is_this = matches!(state, State::Up(connection) if connection.number == number);
            if is_this {
                *state = State::Connecting;
            }
            is_this
        });
        if ended {
            self.lost.notify_one();
        }
    }
}

impl Target {
    async fn connect(&self) -> Result<Channel, RedisError> {
        match self {
            Self::Server(node) => {
                // Time is kept by whoever waits: here there would be a second time-out for each command.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(PIPELINE);
                let client = Client::open(node.as_ref().clone())?;
                client.get_multiplexed_async_connection_with_config(&config).await.map(Channel::Server)
            }
            Self::Cluster(cluster) => cluster.get_async_connection().await.map(Channel::Cluster),
        }
    }
}
