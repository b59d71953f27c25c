//! PostgreSQL's own tools: pgbench and psql, on the server that the API writes to.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use freehold_tenancy::db::PgPool;
use freehold_tests::crash::{Infrastructure, StopMode};
use tempfile::NamedTempFile;

use crate::client::drain;

/// Clients of pgbench, and of the API.
pub(crate) const CLIENTS: usize = 8;

/// Where the tools write to, apart from what is Freehold's.
const DATABASE: &str = "pgbench";

/// One row, one transaction.
const SCRIPT: &str = "insert into single_rows (number, text) values (:client_id, 'one row and nothing else');\n";

/// The tools, and a table that pgbench inserts into.
pub(crate) struct Tools {
    directory: PathBuf,
    url: String,
    freehold: String,
    script: NamedTempFile,
}

/// What pgbench found.
pub(crate) struct Inserts {
    /// Transactions a second.
    pub(crate) per_second: f64,
    /// Seconds a transaction, on average.
    pub(crate) latency: f64,
}

impl Tools {
    pub(crate) async fn new(pool: &PgPool, url: &str) -> Self {
        let directory = "select setting from pg_config where name = 'BINDIR'";
        let directory: String = sqlx::query_scalar(directory).fetch_one(pool).await.expect("PostgreSQL's programs");
        let script = NamedTempFile::new().expect("a file");
        std::fs::write(script.path(), SCRIPT).expect("the script");
        sqlx::query("create database pgbench").execute(pool).await.expect("a database");
        let at = url.replace("/postgres?", &format!("/{DATABASE}?"));
        let tools = Self { directory: directory.into(), url: at, freehold: url.to_owned(), script };
        let table =
            "create table single_rows (id bigint generated always as identity primary key, number int, text text)";
        let made = tools.command("psql").args(["-qX", "-d", &tools.url, "-c", table]).status().expect("psql");
        assert!(made.success(), "psql could not make a table");
        tools
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.directory.join(program))
    }

    /// Single-row inserts by so many clients, for so long.
    pub(crate) fn insert(&self, clients: usize, threads: usize, time: Duration) -> Inserts {
        let mut pgbench = self.command("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads.to_string()]);
        pgbench.args(["-T", &time.as_secs().to_string(), "-f"]).arg(self.script.path()).arg(&self.url);
        let output = pgbench.output().expect("pgbench");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let number = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)).expect("what pgbench says");
            line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).expect("a number")
        };
        Inserts { per_second: number("tps = "), latency: number("latency average = ") / 1000.0 }
    }

    /// How many rows a second psql copies out of Freehold's database, for its `select`.
    pub(crate) fn copy(&self, select: &str) -> (usize, f64) {
        let copy = format!("copy ({select}) to stdout");
        let begun = Instant::now();
        let mut psql = self.command("psql");
        let mut psql =
            psql.args(["-qX", "-d", &self.freehold, "-c", &copy]).stdout(Stdio::piped()).spawn().expect("psql");
        let (rows, _) = drain(psql.stdout.take().expect("its output")).expect("the rows");
        assert!(psql.wait().expect("its end").success(), "psql could not copy");
        (rows, begun.elapsed().as_secs_f64())
    }
}

/// What was written is on the disk before the next is measured, so that nobody pays for another's pages.
pub(crate) async fn checkpoint(pool: &PgPool) {
    sqlx::query("checkpoint").execute(pool).await.expect("a checkpoint");
}

/// Has the server be one that has been in use for a while, and is set up for that as its manual says ("Resource Consumption",
/// "WAL Configuration"). What a new server does in its first minute would be measured otherwise: it makes each file of its
/// log anew, while nobody commits, and has no room for more pages than those of the first 50,000 signups.
pub(crate) async fn break_in(infrastructure: &mut Infrastructure) {
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

/// Has every flush to the disk wait for so long first, whoever else commits meanwhile or not.
pub(crate) async fn delay_flushes(pool: &PgPool, microseconds: u32) {
    for setting in ["commit_siblings = 0", &format!("commit_delay = {microseconds}")] {
        let set = sqlx::AssertSqlSafe(format!("alter system set {setting}"));
        sqlx::query(set).execute(pool).await.expect("a setting");
    }
    sqlx::query("select pg_reload_conf()").execute(pool).await.expect("the settings");
}
