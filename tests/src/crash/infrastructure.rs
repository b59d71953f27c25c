//! Infrastructure of the crash test: PostgreSQL with fsync enabled, and a simulated AWS on a loopback port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_sandbox::postgres::{ListenMode, Postgres, PostgresOptions};
use freehold_sandbox::{Settings, World};
use freehold_tenancy::clock::Scale;
use freehold_tenancy::db::installation::{self, InstallationKind};
use freehold_tenancy::db::{self, PgPool};
use freehold_tenancy::{Clock, Config};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::bootstrap;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;

use crate::fixture::{CONFIG, control_policy, install_policies};
use crate::tokens::Issuer;

/// Shutdown mode of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Orderly shutdown: connections are terminated and all data is written.
    Fast,
    /// Immediate shutdown: the next start recovers from the write-ahead log, as after a power cut.
    Immediate,
}

/// Database, simulated AWS, configuration and token issuer of one installation.
pub struct Infrastructure {
    /// Simulated AWS organisation, in which `freehold bootstrap` has created all required objects.
    pub world: World,
    /// Database connections of the test itself.
    pub pool: PgPool,
    pub config: Arc<Config>,
    pub issuer: Issuer,
    postgres: Option<Postgres>,
    aws_server: freehold_sandbox::http::RunningServer,
    directory: TempDir,
}

impl Infrastructure {
    /// Starts the infrastructure with a clock that runs `speed` times as fast as real time.
    pub async fn start(settings: Settings, speed: f64) -> Self {
        // Rate limits are disabled, because the test repeats requests more often than they allow.
        Self::start_with_api_config(settings, speed, "requests_per_minute = 0\nsignups_per_day = 0").await
    }

    /// Starts the infrastructure; `api` is the content of the section `[api]` of the configuration.
    pub async fn start_with_api_config(settings: Settings, speed: f64, api: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("freehold-crash-").tempdir().expect("a directory");
        let postgres = start_postgres(directory.path()).await;
        let config = format!("{CONFIG}\n[api]\n{api}");
        std::fs::write(directory.path().join("freehold.toml"), config).expect("the configuration");
        let config = Arc::new(Config::parse(CONFIG).expect("a configuration"));
        let pool = PgPoolOptions::new().max_connections(5).connect_lazy(&postgres.url()).expect("a pool");
        db::migrate(&pool, &config.database).await.expect("a migrated database");
        let now = Clock::real().now();
        let scale = Scale { anchored_at: now, origin: now, speed };
        let management = &config.organization.management_account_id;
        let installation = installation::ensure(&pool, InstallationKind::Sandbox, management, Some(scale), now).await;
        let clock = installation.expect("an installation").clock();

        let settings = Settings { control_policy: Some(control_policy()), ..settings };
        let world = World::new(settings, clock.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let aws_server = freehold_sandbox::http::serve(&world, listener).expect("a simulated AWS");
        let key = AccessKey { id: &world.settings().management_access_key, secret: "secret" };
        let region = world.settings().home_region.clone();
        let connection = Connection::in_process(key, &region, freehold_sandbox::http::client(&world));
        let aws = Aws::connect(Arc::clone(&config), clock, None, connection);
        let plan = bootstrap::plan(&aws, &config).await.expect("a plan");
        bootstrap::apply(&aws, plan, |_| {}).await.expect("a bootstrapped organisation");
        install_policies(&world, &aws, &config).await;
        Self { world, pool, config, issuer: Issuer::new(), postgres: Some(postgres), aws_server, directory }
    }

    pub fn aws_url(&self) -> String {
        self.aws_server.url()
    }

    /// Returns the URL of the database, which does not change when the database is restarted.
    pub fn database_url(&self) -> String {
        self.postgres().url()
    }

    /// Returns the directory with the files of this run.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of the configuration file of the processes.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("freehold.toml")
    }

    /// Returns the path of the PostgreSQL log, which contains the messages since the last start of the server.
    pub fn database_log(&self) -> PathBuf {
        self.postgres().directory().join("log")
    }

    fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("a running PostgreSQL")
    }

    /// Restarts PostgreSQL and waits until it accepts connections.
    pub async fn restart_database(&mut self, stop: StopMode) {
        let postgres = self.postgres.take().expect("a running PostgreSQL");
        if stop == StopMode::Immediate {
            kill(Pid::from_raw(postgres.pid()), Signal::SIGQUIT).expect("PostgreSQL's process");
        }
        postgres.stop().await.expect("a stopped PostgreSQL");
        self.postgres = Some(start_postgres(self.directory.path()).await);
    }

    /// Terminates all database connections except those of the test, and returns the number of terminated connections.
    pub async fn drop_connections(&self) -> u64 {
        let terminate = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'freehold' and pid <> pg_backend_pid()";
        sqlx::query(terminate).execute(&self.pool).await.map_or(0, |result| result.rows_affected())
    }

    /// Stops all servers and deletes the files of this run, unless [`Self::keep_files`] was called.
    pub async fn stop(mut self) {
        self.pool.close().await;
        self.aws_server.stop();
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await.expect("a stopped PostgreSQL");
        }
    }

    /// Keeps the files of this run for diagnosis and returns their directory.
    pub fn keep_files(&mut self) -> &Path {
        self.directory.disable_cleanup(true);
        self.directory.path()
    }
}

async fn start_postgres(directory: &Path) -> Postgres {
    let options = PostgresOptions {
        data_dir: Some(directory.to_owned()),
        durable: true,
        listen: ListenMode::Socket,
        ..PostgresOptions::default()
    };
    Postgres::start(options).await.expect("a PostgreSQL")
}
