//! Installation under test: PostgreSQL with fsync enabled, an API process, and worker processes.

use freehold_sandbox::Settings;
use freehold_tests::api_fixture::ALL_SCOPES;
use freehold_tests::crash::{ApiClient, ISSUER, Infrastructure, Processes, wait_until_ready};
use freehold_tests::tokens;
use serde_json::json;

use crate::Options;
use crate::postgres_tools::{Tools, delay_flushes, warm_up};

/// Section `[api]` of the configuration. Both rate limits are enabled, but so high that the benchmark never reaches
/// them.
const API_CONFIG: &str = "requests_per_minute = 6000000\nsignups_per_day = 1000";

pub(crate) struct Installation {
    pub(crate) infrastructure: Infrastructure,
    pub(crate) processes: Processes,
    pub(crate) tools: Tools,
    /// Host and port of the API.
    pub(crate) address: String,
}

impl Installation {
    /// Starts an API and `workers` workers, and waits until the API is ready.
    pub(crate) async fn start(options: &Options, workers: usize) -> Self {
        let mut infrastructure = Infrastructure::start_with_api_config(Settings::default(), 1.0, API_CONFIG).await;
        warm_up(&mut infrastructure).await;
        delay_flushes(&infrastructure.pool, options.flush_delay).await;
        let tools = Tools::new(&infrastructure.pool, &infrastructure.database_url()).await;
        let mut processes = Processes::new(&options.program, &infrastructure, workers, None);
        for index in 0..=workers {
            processes.start(index);
        }
        wait_until_ready(&ApiClient::new(&processes.api_url, &infrastructure.issuer)).await;
        let address = processes.api_url.trim_start_matches("http://").to_owned();
        Self { infrastructure, processes, tools, address }
    }

    /// Returns the process id of the API.
    pub(crate) fn api_pid(&self) -> u32 {
        self.processes.id(0).expect("a running API")
    }

    /// Returns access tokens of `count` different clients, one token per client.
    pub(crate) fn tokens(&self, count: usize) -> Vec<String> {
        let token = |number| {
            let claims =
                json!({ "iss": ISSUER, "exp": tokens::now() + 6 * 3600, "client_id": format!("client-{number}") });
            self.infrastructure.issuer.token_with(ALL_SCOPES, &claims)
        };
        (0..count).map(token).collect()
    }

    pub(crate) async fn stop(self) {
        drop(self.processes);
        self.infrastructure.stop().await;
    }
}
