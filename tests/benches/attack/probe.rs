//! Other clients, which send ordinary requests at a low rate.

use std::time::{Duration, Instant};

use crate::client::{Client, get};
use freehold_tests::benchmark_table::quantile;

/// Number of clients, each with one connection.
const CLIENTS: usize = 4;

/// Pause of a client between a response and its next request.
const PAUSE: Duration = Duration::from_millis(20);

/// Latencies of the requests of other clients, in seconds.
pub(crate) struct Latencies {
    seconds: Vec<f64>,
    /// Number of requests that failed or got a response with another status than 200.
    pub(crate) errors: usize,
}

impl Latencies {
    pub(crate) fn p50(&self) -> f64 {
        quantile(&self.seconds, 0.5)
    }

    pub(crate) fn p99(&self) -> f64 {
        quantile(&self.seconds, 0.99)
    }
}

/// Sends requests for `duration`.
pub(crate) fn measure(address: &str, path: &str, token: &str, duration: Duration) -> Latencies {
    let request = get(address, path, token, "application/json");
    let end = Instant::now() + duration;
    let send_requests = || {
        let (mut seconds, mut errors, mut client) = (Vec::new(), 0, Client::connect(address).ok());
        while Instant::now() < end {
            let start = Instant::now();
            if let Some(Ok(200)) = client.as_mut().map(|client| client.send(&request)) {
                seconds.push(start.elapsed().as_secs_f64());
            } else {
                errors += 1;
                client = Client::connect(address).ok();
            }
            std::thread::sleep(PAUSE);
        }
        (seconds, errors)
    };
    let mut all = Latencies { seconds: Vec::new(), errors: 0 };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send_requests)).collect();
        for client in clients {
            let (seconds, errors) = client.join().expect("a client");
            all.seconds.extend(seconds);
            all.errors += errors;
        }
    });
    all
}
