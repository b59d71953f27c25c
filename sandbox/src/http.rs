//! Two ways into the world: a loopback socket, and an HTTP client for the SDK that opens none.

mod client;
mod page;
mod server;

pub use client::client;
pub(crate) use client::{from_sdk, to_sdk};
pub use server::{Served, serve};
