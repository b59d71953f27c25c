//! Freehold's simulated organisation, served over loopback as in `freehold sandbox`.

use chrono::DateTime;
use freehold_sandbox::http::{RunningServer, serve};
use freehold_sandbox::{Settings, World};
use freehold_tenancy::Clock;
use tokio::net::TcpListener;

use super::case::Failure;

/// Simulated organisation of one test case. Dropping this value stops the server.
pub(crate) struct Simulator {
    pub(crate) served: RunningServer,
    /// Access key id of an administrator in the management account.
    pub(crate) access_key: String,
    pub(crate) clock: Clock,
}

impl Simulator {
    /// Starts a simulator with durations similar to those of AWS. Only [`super::cloud::Cloud::pause`] advances its
    /// clock. Rate limits are disabled, because the emulators have none.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let settings = Settings { throttling: false, ..Settings::default() };
        let access_key = settings.management_access_key.clone();
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let world = World::new(settings, clock.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let served = listener.and_then(|listener| serve(&world, listener));
        Ok(Self { served: served.map_err(|error| Failure(error.to_string()))?, access_key, clock })
    }
}
