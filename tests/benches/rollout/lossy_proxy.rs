//! Proxy between the workers and the simulated AWS that loses some of the answers: AWS has carried out the call, but
//! the connection is closed before the answer arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Size of the buffer for an answer.
const BUFFER_BYTES: usize = 64 * 1024;

pub(crate) struct LossyProxy {
    address: SocketAddr,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl LossyProxy {
    /// Starts a proxy for the server at `url` that loses each `interval`th answer.
    pub(crate) async fn start(url: &str, interval: u64) -> Self {
        let server = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let (lost, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let lost = Arc::clone(&lost);
            async move {
                loop {
                    let Ok((client, _)) = listener.accept().await else { continue };
                    let (server, lost, answers) = (server.clone(), Arc::clone(&lost), Arc::clone(&answers));
                    tokio::spawn(async move {
                        let Ok(upstream) = TcpStream::connect(&server).await else { return };
                        relay(client, upstream, interval, &answers, &lost).await;
                    });
                }
            }
        });
        Self { address, lost, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the number of lost answers.
    pub(crate) fn lost_answers(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards requests and answers until one side closes the connection or an answer is lost.
async fn relay(client: TcpStream, upstream: TcpStream, interval: u64, answers: &AtomicU64, lost: &AtomicU64) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), upstream.into_split());
    let requests = async {
        _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let responses = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let is_start = buffer.starts_with(b"HTTP/1.1");
            if is_start && (answers.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(interval) {
                lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = responses => {}
    }
}
