//! HTTP/2 with prior knowledge: requests of many tasks over one connection.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::SendStream;
use h2::client::{self, SendRequest};
use http::Request;
use tokio::net::TcpStream;

use super::requests::{Callback, PATH};

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct Connection(SendRequest<Bytes>);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = client::handshake(stream).await.context("the HTTP/2 handshake")?;
        // It ends when the last clone is dropped.
        tokio::spawn(async move { connection.await.ok() });
        Ok(Self(requests))
    }

    /// Sends one callback and reads the reply to its end; its status.
    pub(crate) async fn exchange(&self, callback: &Callback) -> Result<u16> {
        let request = Request::post(format!("http://localhost{PATH}"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", callback.token))
            .header("content-length", callback.body.len())
            .body(())?;
        let mut requests = self.0.clone().ready().await?;
        let (response, body) = requests.send_request(request, false)?;
        send(body, callback.body.clone()).await?;
        let (head, mut body) = response.await?.into_parts();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data?.len())?;
        }
        Ok(head.status.as_u16())
    }
}

/// Sends `bytes` as the peer's window allows, and ends the stream with the last of them.
async fn send(mut stream: SendStream<Bytes>, mut bytes: Bytes) -> Result<()> {
    loop {
        stream.reserve_capacity(bytes.len());
        let window = std::future::poll_fn(|context| stream.poll_capacity(context)).await.context("stream ended")??;
        let part = bytes.split_to(window.min(bytes.len()));
        stream.send_data(part, bytes.is_empty())?;
        if bytes.is_empty() {
            return Ok(());
        }
    }
}
