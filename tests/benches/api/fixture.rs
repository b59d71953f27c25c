//! A Freehold to measure: a PostgreSQL that waits for the disk, an API, and workers if wanted.

use freehold_sandbox::Settings;
use freehold_tests::api_fixture::ALL_SCOPES;
use freehold_tests::crash::{ApiClient, ISSUER, Infrastructure, Processes, wait_until_ready};
use freehold_tests::tokens;
use serde_json::json;

use crate::Options;
use crate::postgres_tools::{Tools, break_in, delay_flushes};

/// `[api]`: both limits are counted, as they usually are, and neither is met by [`Installation::tokens`].
const API: &str = "requests_per_minute = 6000000\nsignups_per_day = 1000";

/// The processes of one Freehold, and what is beside them.
pub(crate) struct Installation {
    pub(crate) infrastructure: Infrastructure,
    pub(crate) processes: Processes,
    pub(crate) tools: Tools,
    /// Where the API is, as in `Host`.
    pub(crate) address: String,
}

impl Installation {
    /// One with so many workers, all of whom are ready.
    pub(crate) async fn build(options: &Options, workers: usize) -> Self {
        let mut infrastructure = Infrastructure::start_with_api_config(Settings::default(), 1.0, API).await;
        break_in(&mut infrastructure).await;
        delay_flushes(&infrastructure.pool, options.flush_delay).await;
        let tools = Tools::new(&infrastructure.pool, &infrastructure.database_url()).await;
        let mut processes = Processes::new(&options.program, &infrastructure, workers, None);
        for place in 0..=workers {
            processes.start(place);
        }
        wait_until_ready(&ApiClient::new(&processes.api_url, &infrastructure.issuer)).await;
        let address = processes.api_url.trim_start_matches("http://").to_owned();
        Self { infrastructure, processes, tools, address }
    }

    /// The id of the API's process.
    pub(crate) fn api(&self) -> u32 {
        self.processes.id(0).expect("an API that runs")
    }

    /// Tokens of so many clients.
    pub(crate) fn tokens(&self, count: usize) -> Vec<String> {
        let token = |number| {
            let claims =
                json!({ "iss": ISSUER, "exp": tokens::now() + 6 * 3600, "client_id": format!("flow-{number}") });
            self.infrastructure.issuer.token_with(ALL_SCOPES, &claims)
        };
        (0..count).map(token).collect()
    }

    pub(crate) async fn end(self) {
        drop(self.processes);
        self.infrastructure.stop().await;
    }
}
