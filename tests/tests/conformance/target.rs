//! The three that are asked.

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::case::Failure;
use super::cloud::Cloud;
use super::emulator::Emulator;
use super::simulator::Simulator;

/// Something that answers as AWS would.
pub(crate) struct Target {
    http: SharedHttpClient,
    kind: CloudErrorKind,
}

enum CloudErrorKind {
    Simulator,
    Moto(Emulator),
    Ministack(Emulator),
}

impl Target {
    fn new(kind: CloudErrorKind) -> Self {
        Self { http: aws_smithy_http_client::Builder::new().build_http(), kind }
    }

    /// Freehold's own, over loopback as `freehold sandbox` serves it.
    pub(crate) fn simulator() -> Self {
        Self::new(CloudErrorKind::Simulator)
    }

    /// <https://github.com/getmoto/moto>
    pub(crate) async fn moto() -> Self {
        let emulator = Emulator::start("moto_server", "/moto-api/data.json", |command, port| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        });
        Self::new(CloudErrorKind::Moto(emulator.await))
    }

    /// <https://github.com/ministackorg/ministack>; unless told otherwise it binds every interface, a fixed port for
    /// devices too, and leaves files in `/tmp`.
    pub(crate) async fn ministack() -> Self {
        let emulator = Emulator::start("ministack", "/_ministack/health", |command, port| {
            command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            command
                .env("IOT_MTLS_ENABLED", "0")
                .env("SFTP_ENABLED", "0")
                .env("STATE_DIR", "state")
                .env("S3_DATA_DIR", "s3");
        });
        Self::new(CloudErrorKind::Ministack(emulator.await))
    }

    /// Its column in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            CloudErrorKind::Simulator => "simulator",
            CloudErrorKind::Moto(_) => "moto",
            CloudErrorKind::Ministack(_) => "ministack",
        }
    }

    /// An organisation in which nothing has happened yet.
    pub(crate) async fn fresh(&self) -> Result<Cloud, Failure> {
        match &self.kind {
            CloudErrorKind::Simulator => {
                let simulator = Simulator::start().await?;
                let endpoint = simulator.served.url();
                let access_key = simulator.access_key.clone();
                Ok(Cloud { simulator: Some(simulator), ..self.cloud(endpoint, &access_key) })
            }
            CloudErrorKind::Moto(moto) => {
                reset(&format!("{}/moto-api/reset", moto.endpoint)).await?;
                let cloud = self.cloud(moto.endpoint.clone(), "AKIAIOSFODNN7EXAMPLE");
                cloud.organizations().create_organization().send().await?;
                Ok(cloud)
            }
            CloudErrorKind::Ministack(ministack) => {
                reset(&format!("{}/_ministack/reset", ministack.endpoint)).await?;
                // To it, an access key of twelve digits is an account.
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
    let answer = reqwest::Client::new().post(url).send().await.and_then(reqwest::Response::error_for_status);
    answer.map(|_| ()).map_err(|error| Failure(error.to_string()))
}
