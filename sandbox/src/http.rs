//! Access to the simulated AWS over HTTP: a server on a loopback socket, and an in-process client for the SDK.

mod client;
mod device;
mod faults;
mod page;
mod server;

pub use client::client;
#[cfg(test)]
pub(crate) use client::connector;
pub(crate) use client::{from_sdk, to_sdk};
pub use faults::{ActiveFault, FaultList, NewFault};
pub use server::{RunningServer, serve};

/// Error of a connection to a region during an outage.
const STOPPED_REGION: &str = "the sandbox has stopped this region";

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

    /// Sends a request for `/-/faults` with more headers and a body.
    async fn fault(served: &RunningServer, method: &str, headers: &str, body: &str) -> (u16, Value) {
        let head = format!("{method} /-/faults HTTP/1.1\r\ncontent-type: application/json\r\n{headers}");
        let (status, body) = send_http_request(served, head, body.as_bytes()).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_stopped_region_refuses_connections_until_the_fault_ends() {
        let world = world();
        let served = serve(&world, TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        let list_stacks = |region: &str| {
            let credentials = Credentials::management(&world).in_region(region);
            let call = signed_request(&credentials, Service::CloudFormation, "ListStacks", &json!({}));
            let headers = call.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
            (format!("POST / HTTP/1.1\r\n{}", headers.collect::<String>()), call.body)
        };
        let status = async |region: &str| {
            let (head, body) = list_stacks(region);
            let mut stream = TcpStream::connect(served.address()).await.unwrap();
            let length = body.len();
            let head = format!("{head}host: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).await.unwrap();
            response.split(' ').nth(1).map(str::to_owned)
        };
        let down = r#"{"fault": "region-down", "region": "eu-central-1", "seconds": 60}"#;
        let (created, fault_json) = fault(&served, "POST", "", down).await;
        assert_eq!((created, &fault_json["form"]), (201, &json!("refused")), "{fault_json}");
        assert_eq!(status("eu-central-1").await, None, "a response from a stopped region");
        assert_eq!(status("eu-west-1").await.as_deref(), Some("200"));
        assert_eq!(fault(&served, "GET", "", "").await.1["faults"], json!([fault_json]));
        world.clock().advance(std::time::Duration::from_mins(1));
        assert_eq!(status("eu-central-1").await.as_deref(), Some("200"));
        assert_eq!(fault(&served, "GET", "", "").await, (200, json!({ "faults": [] })));

        let unavailable = down.replace("60", "60, \"form\": \"unavailable\"");
        assert_eq!(fault(&served, "POST", "", &unavailable).await.0, 201);
        assert_eq!(status("eu-central-1").await.as_deref(), Some("503"));
        assert_eq!(fault(&served, "DELETE", "", "").await.0, 204);
        assert_eq!(status("eu-central-1").await.as_deref(), Some("200"));
    }

    #[tokio::test]
    async fn web_pages_and_other_hosts_cannot_start_faults() {
        let world = world();
        let served = serve(&world, TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        let down = r#"{"fault": "region-down", "region": "eu-central-1"}"#;
        assert_eq!(fault(&served, "POST", "origin: https://example.com\r\n", down).await.0, 403);
        assert_eq!(fault(&served, "DELETE", "origin: null\r\n", "").await.0, 403);
        let mut headers = axum::http::HeaderMap::new();
        let post = |headers: &axum::http::HeaderMap, body: &str| {
            faults::handle(&world, &axum::http::Method::POST, "/-/faults", headers, body.as_bytes()).unwrap().status
        };
        headers.insert("content-type", "application/json".parse().unwrap());
        for host in ["rebound.example.com:4566", "127.0.0.1.example.com", "", "10.0.0.1:80"] {
            headers.insert("host", host.parse().unwrap());
            assert_eq!(post(&headers, down), 403, "{host}");
        }
        for host in ["localhost:4566", "127.0.0.1", "[::1]:4566"] {
            headers.insert("host", host.parse().unwrap());
            assert_eq!(post(&headers, down), 201, "{host}");
        }
        for body in [
            "",
            "{}",
            r#"{"fault": "region-down"}"#,
            r#"{"fault": "region-down", "region": "mars-north-1"}"#,
            r#"{"fault": "region-down", "region": "eu-central-1", "seconds": 0}"#,
            r#"{"fault": "region-down", "region": "eu-central-1", "colour": 1}"#,
        ] {
            assert_eq!(post(&headers, body), 400, "{body}");
        }
        headers.insert("content-type", "text/plain".parse().unwrap());
        assert_eq!(post(&headers, down), 415);
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
