//! The sandbox's PostgreSQL: a private one, unless another was named.

use std::path::Path;

use anyhow::{Context, bail};
use freehold_sandbox::postgres::{Listen, Postgres, PostgresOptions};
use freehold_tenancy::clock::Scale;
use freehold_tenancy::db::installation::{self, Installation, InstallationKind};
use freehold_tenancy::db::{self, PgPool};
use freehold_tenancy::{Clock, Config};
use secrecy::{ExposeSecret, SecretString};

use super::SandboxArgs;
use super::data_dir::Home;

/// Connections that the API, and the worker, keep.
const CONNECTIONS: u32 = 20;

/// A PostgreSQL that the sandbox may use.
pub(super) struct Database {
    private: Option<Postgres>,
    url: SecretString,
}

impl Database {
    pub(super) async fn start(args: &SandboxArgs) -> anyhow::Result<Self> {
        if let Some(url) = &args.database_url {
            return Ok(Self { private: None, url: url.clone() });
        }
        let options = PostgresOptions {
            data_dir: args.data.clone(),
            // What is thrown away at the end need not survive a power cut.
            durable: args.data.is_some(),
            // Only this user can reach it, so nobody has to print or type a password.
            listen: Listen::Socket,
            ..PostgresOptions::default()
        };
        let private = Postgres::start(options).await?;
        let url = SecretString::from(private.url());
        Ok(Self { private: Some(private), url })
    }

    /// A directory that lasts exactly as long as the private PostgreSQL's data, whatever ends us.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.private.as_ref().map(Postgres::directory)
    }

    /// How to connect, for people; the URL of somebody else's server may hold a password, and is not told.
    pub(super) fn told(&self) -> Option<&str> {
        self.private.is_some().then(|| self.url.expose_secret())
    }

    /// Connections for one of the sandbox's processes.
    pub(super) async fn pool(&self) -> anyhow::Result<PgPool> {
        db::connect(&self.url, CONNECTIONS).await.context("the sandbox's PostgreSQL cannot be reached")
    }

    /// Brings it up to date and sets its clock, which goes on from where it stood.
    pub(super) async fn prepare(&self, config: &Config, home: &Home, speed: f64) -> anyhow::Result<Installation> {
        let pool = self.pool().await?;
        let (_, known) = crate::database::migrate(&pool, InstallationKind::Sandbox, config).await?;
        if known.is_some() && !home.has_world() {
            bail!(
                "this database belongs to a sandbox whose simulated AWS is not here; name its directory with --data, or \
                 an empty database"
            );
        }
        let wall = Clock::real().now();
        let latest = installation::latest_time(&pool).await?.max(home.last_time().clock);
        let scale = Scale { anchored_at: wall, origin: latest.unwrap_or(wall), speed };
        let (kind, management) = (InstallationKind::Sandbox, &config.organization.management_account_id);
        let installation = installation::ensure(&pool, kind, management, Some(scale), scale.origin).await?;
        pool.close().await;
        Ok(installation)
    }

    pub(super) async fn end(self) -> anyhow::Result<()> {
        if let Some(private) = self.private {
            private.stop().await?;
        }
        Ok(())
    }
}
