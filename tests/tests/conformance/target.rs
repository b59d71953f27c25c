//! Targets of the conformance tests: the simulator and two emulators.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::case::Failure;
use super::cloud::Cloud;
use super::emulator::Emulator;
use super::simulator::Simulator;

pub(crate) struct Target {
    http: SharedHttpClient,
    kind: TargetKind,
}

enum TargetKind {
    Simulator,
    Moto(Emulator),
    Ministack(Emulator),
}

impl Target {
    fn new(kind: TargetKind) -> Self {
        Self { http: aws_smithy_http_client::Builder::new().build_http(), kind }
    }

    /// Returns Freehold's simulator, served over loopback as in `freehold sandbox`.
    pub(crate) fn simulator() -> Self {
        Self::new(TargetKind::Simulator)
    }

    /// Starts moto, <https://github.com/getmoto/moto>.
    pub(crate) async fn moto() -> Self {
        let emulator = Emulator::start("moto_server", "/moto-api/data.json", |command, port| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        });
        Self::new(TargetKind::Moto(emulator.await))
    }

    /// Starts ministack, <https://github.com/ministackorg/ministack>. The settings restrict ministack to loopback,
    /// disable its IoT and SFTP servers, and make it store its files in the working directory instead of `/tmp`.
    pub(crate) async fn ministack() -> Self {
        let emulator = Emulator::start("ministack", "/_ministack/health", |command, port| {
            command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            command
                .env("IOT_MTLS_ENABLED", "0")
                .env("SFTP_ENABLED", "0")
                .env("STATE_DIR", "state")
                .env("S3_DATA_DIR", "s3");
        });
        Self::new(TargetKind::Ministack(emulator.await))
    }

    /// Returns the key of this target in `expected.toml`.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            TargetKind::Simulator => "simulator",
            TargetKind::Moto(_) => "moto",
            TargetKind::Ministack(_) => "ministack",
        }
    }

    /// Creates a new organisation.
    pub(crate) async fn new_organisation(&self) -> Result<Cloud, Failure> {
        match &self.kind {
            TargetKind::Simulator => {
                let simulator = Simulator::start().await?;
                let endpoint = simulator.served.url();
                let access_key = simulator.access_key.clone();
                Ok(Cloud { simulator: Some(simulator), ..self.cloud(endpoint, &access_key) })
            }
            TargetKind::Moto(moto) => {
                reset(&format!("{}/moto-api/reset", moto.endpoint)).await?;
                let cloud = self.cloud(moto.endpoint.clone(), "AKIAIOSFODNN7EXAMPLE");
                cloud.organizations().create_organization().send().await?;
                Ok(cloud)
            }
            TargetKind::Ministack(ministack) => {
                reset(&format!("{}/_ministack/reset", ministack.endpoint)).await?;
                // ministack treats an access key of twelve digits as an account id.
                Ok(self.cloud(ministack.endpoint.clone(), "111122223333"))
            }
        }
    }

    fn cloud(&self, endpoint: String, access_key: &str) -> Cloud {
        let management = Credentials::new(access_key, "secret", None, None, "conformance");
        Cloud { endpoint, http: self.http.clone(), management, simulator: None }
    }
}

async fn reset(url: &str) -> Result<(), Failure> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("an HTTP client");
    let answer = http.post(url).send().await.and_then(reqwest::Response::error_for_status);
    answer.map(|_| ()).map_err(|error| Failure(error.to_string()))
}
