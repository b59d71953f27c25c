//! Selection of loopback ports.

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use crate::output;

/// Listens on the port `requested`; fails if that port is in use. If no port is requested, listens on the previous
/// port, the default port or a free port, in this order. `option` is the command-line option that sets the port.
pub(super) async fn bind(
    requested: Option<u16>,
    previous: Option<u16>,
    default: Option<u16>,
    service: &str,
    option: &str,
) -> anyhow::Result<TcpListener> {
    let listen = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = requested {
        return match listen(port).await {
            Ok(listener) => Ok(listener),
            Err(error) => bail!("the {service} cannot listen on port {port} ({error}); set another port with {option}"),
        };
    }
    for port in [previous, default].into_iter().flatten() {
        match listen(port).await {
            Ok(listener) => return Ok(listener),
            Err(_) => output::print_note(format!("port {port} is in use; choosing another port for the {service}")),
        }
    }
    listen(0).await.context("this machine has no free loopback port")
}
