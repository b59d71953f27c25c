//! Database of a sandbox, which is a private PostgreSQL or the server given with `--database-url`.

use std::path::Path;

use anyhow::{Context, bail};
use freehold_sandbox::postgres::{ListenMode, Postgres, PostgresOptions};
use freehold_tenancy::clock::Scale;
use freehold_tenancy::config::RoleName;
use freehold_tenancy::db::installation::{self, Installation, InstallationKind};
use freehold_tenancy::db::{self, ConnectionSettings, PgPool};
use freehold_tenancy::{Clock, Config};
use secrecy::{ExposeSecret, SecretString};

use super::StartArgs;
use super::data_dir::DataDir;
use crate::secret_arg;

/// Maximum number of database connections of a component, such as the API or the worker.
const MAX_CONNECTIONS: u32 = 20;

pub(super) struct Database {
    private_postgres: Option<Postgres>,
    url: SecretString,
}

impl Database {
    pub(super) async fn start(args: &StartArgs) -> anyhow::Result<Self> {
        if let Some(url) = &args.database_url {
            secret_arg::warn_about_password(url);
            return Ok(Self { private_postgres: None, url: url.clone() });
        }
        let options = PostgresOptions {
            data_dir: args.data.clone(),
            // Data that is deleted on exit need not survive a crash.
            durable: args.data.is_some(),
            // A Unix socket needs no password, because only this user can open it.
            listen: ListenMode::Socket,
            ..PostgresOptions::default()
        };
        let private_postgres = Postgres::start(options).await?;
        let url = SecretString::from(private_postgres.url());
        Ok(Self { private_postgres: Some(private_postgres), url })
    }

    /// Returns the directory of the private PostgreSQL. The directory is deleted together with the data, even if this
    /// process is killed.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.private_postgres.as_ref().map(Postgres::directory)
    }

    /// Returns the URL of the private PostgreSQL, or `None` for another server, whose URL may contain a password.
    pub(super) fn printable_url(&self) -> Option<&str> {
        self.private_postgres.is_some().then(|| self.url.expose_secret())
    }

    /// Returns connections that act as the role `act_as`, or as the user of the URL if it is `None`.
    pub(super) async fn pool(&self, config: &Config, act_as: Option<&RoleName>) -> anyhow::Result<PgPool> {
        let settings = ConnectionSettings { allow_plaintext: config.database.allow_plaintext, act_as: act_as.cloned() };
        let pool = db::connect_with(&self.url, MAX_CONNECTIONS, &settings).await;
        pool.context("cannot connect to the PostgreSQL of the sandbox")
    }

    /// Migrates the database and starts the simulated clock. The clock continues from the time of the previous run.
    pub(super) async fn prepare(
        &self,
        config: &Config,
        data_dir: &DataDir,
        speed: f64,
    ) -> anyhow::Result<Installation> {
        let pool = self.pool(config, None).await?;
        let (_, existing) = crate::database::migrate(&pool, InstallationKind::Sandbox, config).await?;
        crate::database::store_retention(&pool, config, existing.as_ref()).await?;
        if existing.is_some() && !data_dir.has_saved_world() {
            bail!(
                "the database belongs to a sandbox, but the simulated AWS of that sandbox was not found; set --data to \
                 its directory, or --database-url to an empty database"
            );
        }
        let wall = Clock::real().now();
        let latest = installation::latest_time(&pool).await?.max(data_dir.saved_session().clock);
        let scale = Scale { anchored_at: wall, origin: latest.unwrap_or(wall), speed };
        let (kind, management) = (InstallationKind::Sandbox, &config.organization.management_account_id);
        let installation = installation::ensure(&pool, kind, management, Some(scale), scale.origin).await?;
        pool.close().await;
        Ok(installation)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        if let Some(private_postgres) = self.private_postgres {
            private_postgres.stop().await?;
        }
        Ok(())
    }
}
