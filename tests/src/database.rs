//! Isolated databases for tests, on one private PostgreSQL server that stops when the test program ends.
//!
//! PostgreSQL writes hundreds of files for a new database; therefore the database of a finished test is emptied and
//! reused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use freehold_sandbox::postgres::{Postgres, PostgresOptions, TestDatabase, TestDatabases};
use freehold_tenancy::Clock;
use freehold_tenancy::account_mapping::AccountMapping;
use freehold_tenancy::clock::Scale;
use freehold_tenancy::config::{self, DatabaseRoles, RoleName};
use freehold_tenancy::db::installation::{self, InstallationKind};
use freehold_tenancy::db::{self, PgPool, account_mappings};
use secrecy::SecretString;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::OnceCell;

/// Database of one test, to which all migrations have been applied.
pub struct Database {
    /// Connections of the test itself, as an administrator.
    pub pool: PgPool,
    /// URL for an administrator.
    pub url: String,
    /// Connections with the role of API processes.
    pub api_pool: PgPool,
    pub api_url: String,
    /// Connections with the role of workers.
    pub worker_pool: PgPool,
    pub worker_url: String,
    /// Handle of the database; `None` only while this value is being dropped.
    handle: Option<TestDatabase>,
    do_not_reuse: AtomicBool,
}

static SERVER: OnceCell<(Postgres, TestDatabases)> = OnceCell::const_new();

/// Databases of finished tests, which later tests reuse.
static REUSABLE: Mutex<Vec<TestDatabase>> = Mutex::new(Vec::new());

/// SQL that terminates open connections, deletes all rows of all tables with triggers disabled, and inserts the initial
/// rows of the migrations again.
const RESET_SQL: &str = "
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid();
    set session_replication_role = replica;
    do $$ declare name text; begin
        for name in select tablename from pg_tables where schemaname = 'public' and tablename not like '\\_sqlx%' loop
            execute format('delete from %I', name);
        end loop;
    end $$;
    insert into feed_head (position) values (0);
    insert into audit_head (position, hash, dropped_position, dropped_hash)
    values (0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));
    insert into webhook_cursor (position) values (0);
    insert into default_release (release_id) values (null);
    insert into change_freeze (reason) values (null)";

impl Database {
    /// Returns a database that no other running test uses.
    pub async fn new() -> Self {
        let (_, databases) = SERVER.get_or_init(start_server).await;
        let used = REUSABLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let database = match used {
            Some(used) => {
                reset(&used).await;
                used
            }
            None => databases.create().await.expect("a new database"),
        };
        let url = database.url().to_owned();
        let roles = DatabaseRoles::default();
        let (api_url, worker_url) = (with_user(&url, &roles.api), with_user(&url, &roles.worker));
        let connect = async |url: &String| {
            db::connect(&SecretString::from(url.clone()), 10).await.expect("a connection to the database")
        };
        let (pool, api_pool, worker_pool) = (connect(&url).await, connect(&api_url).await, connect(&worker_url).await);
        let (handle, do_not_reuse) = (Some(database), AtomicBool::new(false));
        Self { pool, url, api_pool, api_url, worker_pool, worker_url, handle, do_not_reuse }
    }

    /// Returns the URL of an administrator whose sessions act as the owner, like those of `freehold recover`.
    pub fn owner_url(&self) -> String {
        format!("{}&options=-c%20role%3D{}", self.url, DatabaseRoles::default().owner)
    }

    /// Records a sandbox, whose clock is simulated. The audit trail then accepts any time; without it, the trail
    /// corrects times far from the time of PostgreSQL.
    pub async fn simulate_clock(&self, now: DateTime<Utc>) {
        let (kind, management) = (InstallationKind::Sandbox, "111122223333".parse().expect("an account id"));
        let scale = Scale { anchored_at: now, origin: now, speed: 1.0 };
        installation::ensure(&self.pool, kind, &management, Some(scale), now).await.expect("an installation");
    }

    /// Copies the database, like a backup. Returns the name of the copy.
    pub async fn back_up(&self) -> String {
        let name = self.name();
        let copy = format!("{name}_backup");
        self.execute_without_connections(&[format!("create database {copy} template {name}")]).await;
        copy
    }

    /// Replaces the database with a copy of `backup`. Connections are closed.
    pub async fn restore(&self, backup: &str) {
        let name = self.name();
        let statements = [format!("drop database {name}"), format!("create database {name} template {backup}")];
        self.execute_without_connections(&statements).await;
    }

    /// Deletes a copy.
    pub async fn delete_backup(&self, backup: &str) {
        self.execute_without_connections(&[format!("drop database {backup}")]).await;
    }

    fn name(&self) -> String {
        let path = self.url.split('?').next().unwrap_or(&self.url);
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    /// Closes all connections to the database and executes statements in another database of the server.
    async fn execute_without_connections(&self, statements: &[String]) {
        let name = self.name();
        let options: PgConnectOptions = self.url.parse().expect("a URL");
        let mut server = PgConnection::connect_with(&options.database("postgres")).await.expect("a connection");
        let terminate = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1";
        sqlx::query(terminate).bind(&name).execute(&mut server).await.expect("closed connections");
        for statement in statements {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut server).await.expect(statement);
        }
        server.close().await.expect("a closed connection");
        // The pool checks a connection before use only after an idle time.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }

    /// Excludes this database from reuse; needed if a test changes the schema, which is not reset.
    pub fn do_not_reuse(&self) {
        self.do_not_reuse.store(true, Ordering::Relaxed);
    }
}

/// Returns the URL with another user. The server of the tests needs no password.
pub fn with_user(url: &str, user: &RoleName) -> String {
    let (_, address) = url.split_once('@').expect("a URL with a user");
    format!("postgres://{user}@{address}")
}

impl Drop for Database {
    fn drop(&mut self) {
        let database = self.handle.take().filter(|_| !self.do_not_reuse.load(Ordering::Relaxed));
        REUSABLE.lock().unwrap_or_else(PoisonError::into_inner).extend(database);
    }
}

async fn reset(database: &TestDatabase) {
    let mut connection = PgConnection::connect(database.url()).await.expect("a connection to a used database");
    sqlx::raw_sql(RESET_SQL).execute(&mut connection).await.expect("an empty database");
    // Without a vacuum, later queries would scan the deleted rows again and again.
    let tables = "select string_agg(tablename, ', ') from pg_tables where schemaname = 'public'";
    let tables: String = sqlx::query_scalar(tables).fetch_one(&mut connection).await.expect("the tables");
    let vacuum = sqlx::AssertSqlSafe(format!("vacuum {tables}"));
    sqlx::raw_sql(vacuum).execute(&mut connection).await.expect("a vacuumed database");
    connection.close().await.expect("a closed connection");
}

async fn start_server() -> (Postgres, TestDatabases) {
    let server = Postgres::start(PostgresOptions::for_tests()).await.expect("PostgreSQL for the tests");
    let migrate = |url: String| async move {
        let pool = db::connect(&SecretString::from(url), 1).await?;
        db::migrate(&pool, &config::Database::default()).await?;
        pool.close().await;
        Ok::<_, db::DbError>(())
    };
    let databases = TestDatabases::prepare(&server.url(), migrate).await.expect("a migrated template");
    (server, databases)
}

/// Returns at most 100 account mappings that have not ended.
pub async fn current_mappings(pool: &PgPool) -> Vec<AccountMapping> {
    let now = account_mappings::snapshot(pool, Clock::real().now()).await.expect("a position");
    account_mappings::list(pool, &now, None, 100).await.expect("the mappings")
}
