//! Runs pgbench and psql on the PostgreSQL server that the API uses.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use freehold_tenancy::db::PgPool;
use freehold_tests::crash::{Infrastructure, StopMode};
use tempfile::NamedTempFile;

use crate::client::drain;

/// Number of concurrent clients of pgbench and of the API.
pub(crate) const CLIENTS: usize = 8;

/// Name of the separate database for pgbench.
const DATABASE: &str = "pgbench";

/// pgbench script that inserts one row per transaction.
const PGBENCH_SCRIPT: &str =
    "insert into single_rows (number, text) values (:client_id, 'one row and nothing else');\n";

pub(crate) struct Tools {
    directory: PathBuf,
    url: String,
    freehold_url: String,
    script: NamedTempFile,
}

/// Result of a pgbench run.
pub(crate) struct PgbenchResult {
    /// Transactions per second.
    pub(crate) per_second: f64,
    /// Average duration of a transaction in seconds.
    pub(crate) latency: f64,
}

impl Tools {
    pub(crate) async fn new(pool: &PgPool, url: &str) -> Self {
        let directory = "select setting from pg_config where name = 'BINDIR'";
        let directory: String = sqlx::query_scalar(directory).fetch_one(pool).await.expect("PostgreSQL's programs");
        let script = NamedTempFile::new().expect("a file");
        std::fs::write(script.path(), PGBENCH_SCRIPT).expect("the script");
        sqlx::query("create database pgbench").execute(pool).await.expect("a database");
        let at = url.replace("/postgres?", &format!("/{DATABASE}?"));
        let tools = Self { directory: directory.into(), url: at, freehold_url: url.to_owned(), script };
        let table =
            "create table single_rows (id bigint generated always as identity primary key, number int, text text)";
        let status = tools.command("psql").args(["-qX", "-d", &tools.url, "-c", table]).status().expect("psql");
        assert!(status.success(), "psql could not create the table");
        tools
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.directory.join(program))
    }

    /// Runs pgbench with single-row inserts.
    pub(crate) fn insert(&self, clients: usize, threads: usize, time: Duration) -> PgbenchResult {
        let mut pgbench = self.command("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads.to_string()]);
        pgbench.args(["-T", &time.as_secs().to_string(), "-f"]).arg(self.script.path()).arg(&self.url);
        let output = pgbench.output().expect("pgbench");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let number = |name: &str| {
            let line = stdout.lines().find_map(|line| line.strip_prefix(name)).expect("a line of pgbench's output");
            line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).expect("a number")
        };
        PgbenchResult { per_second: number("tps = "), latency: number("latency average = ") / 1000.0 }
    }

    /// Exports the result of the query `select` from Freehold's database with psql's `COPY`; returns the number of rows
    /// and the duration in seconds.
    pub(crate) fn copy(&self, select: &str) -> (usize, f64) {
        let copy = format!("copy ({select}) to stdout");
        let started = Instant::now();
        let mut psql = self.command("psql");
        let mut psql =
            psql.args(["-qX", "-d", &self.freehold_url, "-c", &copy]).stdout(Stdio::piped()).spawn().expect("psql");
        let (rows, _) = drain(psql.stdout.take().expect("its output")).expect("the rows");
        assert!(psql.wait().expect("an exit status").success(), "psql could not copy");
        (rows, started.elapsed().as_secs_f64())
    }
}

/// Writes all dirty pages to disk, so that they do not slow down the next measurement.
pub(crate) async fn checkpoint(pool: &PgPool) {
    sqlx::query("checkpoint").execute(pool).await.expect("a checkpoint");
}

/// Configures the memory and the write-ahead log as PostgreSQL's manual recommends ("Resource Consumption", "WAL
/// Configuration"), and creates the WAL files. Without this, the cache would be too small, and commits would wait for
/// the creation of WAL files during the measurement.
pub(crate) async fn warm_up(infrastructure: &mut Infrastructure) {
    for setting in ["shared_buffers = '2GB'", "min_wal_size = '1GB'", "max_wal_size = '4GB'"] {
        let set = sqlx::AssertSqlSafe(format!("alter system set {setting}"));
        sqlx::query(set).execute(&infrastructure.pool).await.expect("a setting");
    }
    infrastructure.restart_database(StopMode::Fast).await;
    for _ in 0..60 {
        let file = "select pg_logical_emit_message(true, '', ''), pg_switch_wal()";
        sqlx::query(file).execute(&infrastructure.pool).await.expect("a file of the log");
    }
    checkpoint(&infrastructure.pool).await;
}

/// Configures PostgreSQL to delay every disk flush by `microseconds`, even without concurrent commits.
pub(crate) async fn delay_flushes(pool: &PgPool, microseconds: u32) {
    for setting in ["commit_siblings = 0", &format!("commit_delay = {microseconds}")] {
        let set = sqlx::AssertSqlSafe(format!("alter system set {setting}"));
        sqlx::query(set).execute(pool).await.expect("a setting");
    }
    sqlx::query("select pg_reload_conf()").execute(pool).await.expect("the settings");
}
