//! Two ways into the world: a loopback socket, and an HTTP client for the SDK that opens none.

mod client;
mod page;
mod server;

pub use client::client;
#[cfg(test)]
pub(crate) use client::connector;
pub(crate) use client::{from_sdk, to_sdk};
pub use server::{Served, serve};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::world::Service;
    use crate::world::testing::{Credentials, signed, world};

    async fn exchange(served: &Served, head: String, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        let length = body.len();
        let head = format!("{head}host: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn the_served_world_answers_aws_and_tells_a_browser_what_it_is() {
        let world = world();
        let served = serve(&world, TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        assert_eq!(world.base_url(), Some(served.url()));

        let call = signed(&Credentials::management(&world), Service::Organizations, "ListRoots", &json!({}));
        let headers = call.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        let head = format!("POST / HTTP/1.1\r\n{}", headers.collect::<String>());
        let (status, body) = exchange(&served, head, &call.body).await;
        assert_eq!(status, 200);
        assert!(body.contains("\"Roots\""), "{body}");

        let (status, page) = exchange(&served, "GET / HTTP/1.1\r\n".into(), b"").await;
        assert_eq!(status, 200);
        assert!(page.contains("simulated AWS organisation") && page.contains("accounts       2"), "{page}");
        let (_, dump) = exchange(&served, "GET /-/world HTTP/1.1\r\n".into(), b"").await;
        let dump: Value = serde_json::from_str(&dump).unwrap();
        assert_eq!(dump["accounts"].as_object().unwrap().len(), 2);
    }
}
