//! Option `--sandbox` of `freehold api`, `worker`, `reconcile` and `recover`, which lets separate processes use the
//! simulated AWS of a sandbox.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_tenancy::Config;
use freehold_worker::aws::{AccessKey, Connection};

use crate::running_sandbox::RunningSandbox;
use crate::sandbox::{aws, config};
use crate::serve::ConfigArgs;

#[derive(Debug, Args)]
#[command(next_help_heading = "Simulated AWS")]
pub(crate) struct SimulatedAwsArgs {
    /// Use the simulated AWS at this URL, the database of a sandbox and the built-in configuration
    #[arg(long, value_name = "URL", requires = "database_url")]
    sandbox: Option<String>,
    /// JWKS file that verifies the tokens of a sandbox [default: JWKS of the running sandbox]
    #[arg(long, value_name = "FILE", requires = "sandbox", hide = true)]
    jwks: Option<PathBuf>,
    /// Lease of a worker's claim, for tests that kill workers
    #[arg(long, value_name = "SECONDS", requires = "sandbox", hide = true, value_parser = parse_lease)]
    lease: Option<Duration>,
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "must be a number, e.g. 3")?;
    if (1.0..=60.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be from 1 to 60".to_owned())
    }
}

impl SimulatedAwsArgs {
    /// Loads the configuration for a simulated AWS. Returns `None` without `--sandbox`.
    pub(crate) fn config(&self, args: &ConfigArgs) -> anyhow::Result<Option<Config>> {
        let Some(url) = &self.sandbox else {
            return Ok(None);
        };
        let file = Some(args.config.as_path()).filter(|file| file.is_file());
        let mut config = config::load(file)?;
        let jwks = match (&self.jwks, RunningSandbox::with_aws(url)) {
            (Some(jwks), _) => Some(jwks.clone()),
            (None, Some(sandbox)) => Some(sandbox.jwks),
            (None, None) => RunningSandbox::only("--sandbox")?.map(|sandbox| sandbox.jwks),
        };
        if let Some(jwks) = jwks {
            config::trust_issuer(&mut config, &jwks);
        }
        Ok(Some(config))
    }

    pub(crate) fn lease(&self) -> Option<Duration> {
        self.lease
    }

    pub(crate) fn connection(&self) -> anyhow::Result<Connection> {
        let url = self.sandbox.as_deref().context("--sandbox is not set")?;
        let settings = aws::settings();
        let key = AccessKey { id: &settings.freehold_access_key, secret: "sandbox" };
        Ok(Connection::loopback(key, &settings.home_region, url)?)
    }
}
