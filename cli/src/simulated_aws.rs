//! `--sandbox` of `freehold api` and `freehold worker`: processes of their own beside a simulated AWS.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_tenancy::Config;
use freehold_worker::aws::{AccessKey, Connection};

use crate::running_sandbox::Running;
use crate::sandbox::{aws, config};
use crate::serve::ConfigArgs;

#[derive(Debug, Args)]
#[command(next_help_heading = "Simulated AWS")]
pub(crate) struct SimulatedAwsArgs {
    /// Work with a simulated AWS on this machine, and a sandbox's database, under the built-in configuration
    #[arg(long, value_name = "URL", requires = "database_url")]
    sandbox: Option<String>,
    /// The keys that a sandbox's tokens are checked with; those of the running sandbox if left out
    #[arg(long, value_name = "FILE", requires = "sandbox", hide = true)]
    jwks: Option<PathBuf>,
    /// How long a worker's claim holds; shorter than AWS's own calls would allow, for tests that kill workers
    #[arg(long, value_name = "SECONDS", requires = "sandbox", hide = true, value_parser = lease)]
    lease: Option<Duration>,
}

fn lease(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "this is a number such as 3")?;
    if (1.0..=60.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("this is from 1 to 60".to_owned())
    }
}

impl SimulatedAwsArgs {
    /// The configuration of a process beside a simulated AWS; none where AWS is meant.
    pub(crate) fn config(&self, args: &ConfigArgs) -> anyhow::Result<Option<Config>> {
        if self.sandbox.is_none() {
            return Ok(None);
        }
        let named = Some(args.config.as_path()).filter(|file| file.is_file());
        let mut config = config::config(named)?;
        let jwks = self.jwks.clone().or_else(|| Running::find().map(|sandbox| sandbox.jwks));
        if let Some(jwks) = jwks {
            config::believe(&mut config, &jwks);
        }
        Ok(Some(config))
    }

    /// How long a worker's claim holds, where that is said.
    pub(crate) fn lease(&self) -> Option<Duration> {
        self.lease
    }

    /// How a worker reaches it.
    pub(crate) fn connection(&self) -> anyhow::Result<Connection> {
        let url = self.sandbox.as_deref().context("--sandbox names no simulated AWS")?;
        let settings = aws::settings();
        let key = AccessKey { id: &settings.freehold_access_key, secret: "sandbox" };
        Ok(Connection::loopback(key, &settings.home_region, url)?)
    }
}
