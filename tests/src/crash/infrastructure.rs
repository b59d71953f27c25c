//! Where the processes play: a PostgreSQL that keeps what it has committed, and a simulated AWS behind a loopback port.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_sandbox::postgres::{Listen, Postgres, PostgresOptions};
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

use crate::fixture::{CONFIG, control_policy};
use crate::tokens::Issuer;

/// How PostgreSQL goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Told to: it ends every connection and writes down what it has.
    Fast,
    /// At once: the next start recovers from its log, as after a power cut.
    Immediate,
}

/// Everything that is not one of Freehold's processes.
pub struct Infrastructure {
    /// The simulated organisation, bootstrapped.
    pub world: World,
    /// Connections of the harness's own.
    pub pool: PgPool,
    /// What the operator has declared.
    pub config: Arc<Config>,
    /// Whose tokens the API believes.
    pub issuer: Issuer,
    postgres: Option<Postgres>,
    served: freehold_sandbox::http::Served,
    directory: TempDir,
}

impl Infrastructure {
    /// A stage whose clock runs `speed` times as fast as the wall.
    pub async fn set(settings: Settings, speed: f64) -> Self {
        // Whoever repeats every request until it is answered asks more often than a client should.
        Self::set_with(settings, speed, "requests_per_minute = 0\nsignups_per_day = 0").await
    }

    /// The same, whose `[api]` consists of these lines.
    pub async fn set_with(settings: Settings, speed: f64, api: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("freehold-crash-").tempdir().expect("a directory");
        // The user that PostgreSQL runs as, where the tests run as root, has to get in.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("an open door");
        let config = format!("{CONFIG}\n[api]\n{api}");
        std::fs::write(directory.path().join("freehold.toml"), config).expect("the configuration");
        let config = Arc::new(Config::parse(CONFIG).expect("a configuration"));
        let postgres = start(directory.path()).await;
        let pool = PgPoolOptions::new().max_connections(5).connect_lazy(&postgres.url()).expect("a pool");
        db::migrate(&pool).await.expect("a migrated database");
        // A name for each kind of process, so that what they ask can be told apart in the server's log.
        for role in ["create role api superuser login", "create role worker superuser login"] {
            sqlx::query(role).execute(&pool).await.expect("a role");
        }
        let now = Clock::real().now();
        let scale = Scale { anchored_at: now, origin: now, speed };
        let management = &config.organization.management_account_id;
        let installation = installation::ensure(&pool, InstallationKind::Sandbox, management, Some(scale), now).await;
        let clock = installation.expect("an installation").clock();

        let settings = Settings { control_policy: Some(control_policy()), ..settings };
        let world = World::new(settings, clock.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let served = freehold_sandbox::http::serve(&world, listener).expect("a served world");
        let key = AccessKey { id: &world.settings().management_access_key, secret: "secret" };
        let region = world.settings().home_region.clone();
        let connection = Connection::in_process(key, &region, freehold_sandbox::http::client(&world));
        let aws = Aws::connect(Arc::clone(&config), clock, None, connection);
        let plan = bootstrap::plan(&aws, &config).await.expect("a plan");
        bootstrap::apply(&aws, plan, |_| {}).await.expect("a bootstrapped organisation");
        Self { world, pool, config, issuer: Issuer::new(), postgres: Some(postgres), served, directory }
    }

    /// Where the simulated AWS is.
    pub fn aws_url(&self) -> String {
        self.served.url()
    }

    /// Where the database is; always the same.
    pub fn database_url(&self) -> String {
        self.postgres().url()
    }

    /// A place for the files of this run.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration that the processes read.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("freehold.toml")
    }

    /// What PostgreSQL has logged since it was started last.
    pub fn database_log(&self) -> PathBuf {
        self.postgres().directory().join("log")
    }

    fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("a PostgreSQL that runs")
    }

    /// Takes PostgreSQL down and starts it again; returns when it accepts connections.
    pub async fn restart_database(&mut self, stop: Stop) {
        let postgres = self.postgres.take().expect("a PostgreSQL that runs");
        if stop == Stop::Immediate {
            kill(Pid::from_raw(postgres.pid()), Signal::SIGQUIT).expect("PostgreSQL's process");
        }
        postgres.stop().await.expect("a PostgreSQL that stops");
        self.postgres = Some(start(self.directory.path()).await);
    }

    /// Ends every connection that is not the harness's own, and answers how many those were.
    pub async fn cut_connections(&self) -> u64 {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'freehold' and pid <> pg_backend_pid()";
        sqlx::query(cut).execute(&self.pool).await.map_or(0, |done| done.rows_affected())
    }

    /// Takes everything down, and removes the files of this run unless they are to be kept.
    pub async fn end(mut self) {
        self.pool.close().await;
        self.served.stop();
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await.expect("a PostgreSQL that stops");
        }
    }

    /// Leaves the files of this run where they are, for whoever wants to know what happened.
    pub fn keep(&mut self) -> &Path {
        self.directory.disable_cleanup(true);
        self.directory.path()
    }
}

async fn start(directory: &Path) -> Postgres {
    let options = PostgresOptions {
        data_dir: Some(directory.to_owned()),
        durable: true,
        listen: Listen::Socket,
        ..PostgresOptions::default()
    };
    Postgres::start(options).await.expect("a PostgreSQL")
}
