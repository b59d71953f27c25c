//! Viewers that send requests to front doors over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_sandbox::World;
use freehold_sandbox::http::NewFault;
use futures::{StreamExt, stream};
use reqwest::{Client, Method};
use serde_json::Value;

/// SHA-256 of an empty body. A front door refuses writes without the hash of their body.
const EMPTY_BODY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) struct Viewers {
    world: World,
    client: Client,
    front_doors: Vec<String>,
    concurrency: usize,
}

/// Response of one request. A missing response has the status 0.
struct Seen {
    status: u16,
    region: Option<String>,
    /// Time by the clock of the simulated AWS.
    seconds: f64,
}

pub(crate) struct Results(Vec<Seen>);

impl Viewers {
    pub(crate) fn new(world: World, front_doors: Vec<String>, concurrency: usize) -> Self {
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { world, client, front_doors, concurrency }
    }

    /// Sends requests to all front doors in turn.
    pub(crate) async fn send(self: &Arc<Self>, method: &Method, path: &'static str, requests: usize) -> Results {
        let request = |number: usize| {
            let (viewers, method) = (Arc::clone(self), method.clone());
            let url = format!("{}{path}", self.front_doors[number % self.front_doors.len()]);
            async move { viewers.view(method, &url).await }
        };
        Results(stream::iter((0..requests).map(request)).buffer_unordered(self.concurrency).collect().await)
    }

    async fn view(&self, method: Method, url: &str) -> Seen {
        let started = self.world.clock().now();
        let request = self.client.request(method, url).header("x-amz-content-sha256", EMPTY_BODY_SHA256);
        let response = request.send().await;
        let (status, body) = match response {
            Ok(response) => (response.status().as_u16(), response.bytes().await.map(Vec::from).unwrap_or_default()),
            Err(_) => (0, Vec::new()),
        };
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let seconds = (self.world.clock().now() - started).as_seconds_f64();
        Seen { status, region: body["region"].as_str().map(str::to_owned), seconds }
    }

    /// Starts a fault, or ends all faults.
    pub(crate) async fn change_faults(&self, method: Method, fault: Option<&NewFault>) {
        let url = format!("{}/-/faults", self.world.base_url().expect("a URL"));
        let request = self.client.request(method, url);
        let request = match fault {
            Some(fault) => request.json(fault),
            None => request,
        };
        request.send().await.and_then(reqwest::Response::error_for_status).expect("a changed fault");
    }
}

impl Results {
    pub(crate) fn failures(&self) -> usize {
        self.0.iter().filter(|seen| seen.status != 200).count()
    }

    pub(crate) fn with_status(&self, status: u16) -> usize {
        self.0.iter().filter(|seen| seen.status == status).count()
    }

    pub(crate) fn answers_from(&self, region: &str) -> usize {
        self.0.iter().filter(|seen| seen.region.as_deref() == Some(region)).count()
    }

    /// Returns the time of the slowest answer in seconds.
    pub(crate) fn slowest(&self) -> f64 {
        self.0.iter().map(|seen| seen.seconds).fold(0.0, f64::max)
    }

    /// Returns the number of answers for each status and region.
    pub(crate) fn summary(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for seen in &self.0 {
            let region = seen.region.as_deref().map(|region| format!(" from {region}")).unwrap_or_default();
            *counts.entry(format!("{}{region}", seen.status)).or_default() += 1;
        }
        counts.iter().map(|(answer, count)| format!("{count} × {answer}")).collect::<Vec<_>>().join(", ")
    }
}
