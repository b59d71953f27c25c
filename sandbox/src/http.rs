//! Access to the simulated AWS over HTTP: a server on a loopback socket, and an in-process client for the SDK.

mod client;
mod page;
mod server;

pub use client::client;
#[cfg(test)]
pub(crate) use client::connector;
pub(crate) use client::{from_sdk, to_sdk};
pub use server::{RunningServer, serve};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::world::Service;
    use crate::world::testing::{Credentials, signed_request, world};

    async fn send_http_request(served: &RunningServer, head: String, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        let length = body.len();
        let head = format!("{head}host: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn the_server_handles_aws_calls_and_serves_web_pages() {
        let world = world();
        let served = serve(&world, TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        assert_eq!(world.base_url(), Some(served.url()));

        let call = signed_request(&Credentials::management(&world), Service::Organizations, "ListRoots", &json!({}));
        let headers = call.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        let head = format!("POST / HTTP/1.1\r\n{}", headers.collect::<String>());
        let (status, body) = send_http_request(&served, head, &call.body).await;
        assert_eq!(status, 200);
        assert!(body.contains("\"Roots\""), "{body}");

        let (status, page) = send_http_request(&served, "GET / HTTP/1.1\r\n".into(), b"").await;
        assert_eq!(status, 200);
        assert!(page.contains("simulated AWS organisation") && page.contains("accounts       2"), "{page}");
        let (_, dump) = send_http_request(&served, "GET /-/world HTTP/1.1\r\n".into(), b"").await;
        let dump: Value = serde_json::from_str(&dump).unwrap();
        assert_eq!(dump["accounts"].as_object().unwrap().len(), 2);
    }
}
