//! Connection to the API on which a test sends any bytes, at any time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Maximum time until the API responds or closes the connection.
const TIMEOUT: Duration = Duration::from_mins(1);

pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects to the API at `url`.
    pub async fn open(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("an http URL");
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent bytes");
    }

    /// Sends a byte of `text` every 50 milliseconds until all are sent or the API closes the connection.
    pub async fn drip(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.0.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns everything that the API sends until it closes the connection.
    pub async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        // A connection that the API closes with unread bytes is reset.
        _ = tokio::time::timeout(TIMEOUT, self.0.read_to_end(&mut bytes)).await.expect("the API kept the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns what the API sends until it contains `end`.
    pub async fn read_until(&mut self, end: &str) -> String {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        while !text.contains(end) {
            let read = tokio::time::timeout(TIMEOUT, self.0.read(&mut buffer)).await.expect("no response");
            let read = read.expect("a response");
            assert!(read > 0, "the API closed the connection after: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        text
    }

    pub fn into_stream(self) -> TcpStream {
        self.0
    }
}
