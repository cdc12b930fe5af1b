//! The application behind the proxies: it writes down what reaches it and answers as the path asks.
//!
//! `app` serves on port 8080; `app check` says whether it does, for the health check; `app mark ID` puts that id into the
//! journal, so that a reader knows how far it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod connection;

use secure_callbacks_containers::behaviour::Behaviour;
use secure_callbacks_containers::journal::Entry;
use secure_callbacks_harness::clock::now_ms;
use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

const PORT: u16 = 8080;

/// How many deliveries of each id came.
type Numbers = Arc<Mutex<HashMap<String, usize>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => return code(say("").await),
        ["mark", id] => return code(say(id).await),
        _ => {}
    }
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.expect("the port is free in a container of its own");
    // The first process of a container has no default handlers: without this one it would have to be killed.
    let mut stop = signal(SignalKind::terminate()).expect("a signal handler");
    let numbers = Numbers::default();
    loop {
        tokio::select! {
            _ = stop.recv() => return ExitCode::SUCCESS,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(serve(stream, Arc::clone(&numbers)));
            },
        }
    }
}

/// Sends `text` to the application that runs.
async fn say(text: &str) -> std::io::Result<()> {
    TcpStream::connect(("127.0.0.1", PORT)).await?.write_all(text.as_bytes()).await
}

fn code(outcome: std::io::Result<()>) -> ExitCode {
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn serve(stream: TcpStream, numbers: Numbers) {
    let mut connection = connection::over(stream);
    while let Ok(Some(request)) = connection.next_request().await {
        let mut received = connection::received(request);
        let number = {
            let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            let number = numbers.entry(received.id.clone()).or_default();
            *number += 1;
            *number
        };
        received.number = number;
        let (id, step) = (received.id.clone(), Behaviour::of_path(&received.path).step(number));
        write(&Entry::Received(received));
        if !step.delay.is_zero() && connection.gone_within(step.delay).await {
            return;
        }
        let Some(status) = step.status else {
            connection::reset(&connection.stream);
            return;
        };
        if connection::answer(&mut connection.stream, status, step.half).await.is_err() {
            return;
        }
        write(&Entry::Answered { at: now_ms(), id, number, status });
        if step.half {
            connection::reset(&connection.stream);
            return;
        }
    }
}

/// One line of the journal, out before anything else happens.
fn write(entry: &Entry) {
    let line = serde_json::to_string(entry).expect("an entry is plain data");
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
