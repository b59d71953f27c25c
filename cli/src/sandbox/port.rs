//! Loopback ports: the one that was asked for, or else one that is free.

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use crate::output;

/// Listens on `asked`, which must be free; else on the first that is free of the one used last time, the `usual` one and
/// any.
pub(super) async fn bind(
    asked: Option<u16>,
    last_time: Option<u16>,
    usual: Option<u16>,
    what: &str,
    option: &str,
) -> anyhow::Result<TcpListener> {
    let listen = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = asked {
        return match listen(port).await {
            Ok(listener) => Ok(listener),
            Err(error) => bail!("port {port} cannot be used for the {what} ({error}); choose another with {option}"),
        };
    }
    for port in [last_time, usual].into_iter().flatten() {
        match listen(port).await {
            Ok(listener) => return Ok(listener),
            Err(_) => output::note(format!("port {port} is taken; the {what} gets a free one")),
        }
    }
    listen(0).await.context("this machine has no free loopback port")
}
