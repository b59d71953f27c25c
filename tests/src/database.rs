//! A database of its own for every test, on one private PostgreSQL that ends with the program.
//!
//! Making one means making some hundreds of files, so that one whose test is over is emptied and used again.

use std::sync::{Mutex, PoisonError};

use freehold_sandbox::postgres::{Postgres, PostgresOptions, TestDatabase, TestDatabases};
use freehold_tenancy::Clock;
use freehold_tenancy::account_mapping::AccountMapping;
use freehold_tenancy::db::{self, PgPool, account_mappings};
use secrecy::SecretString;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::OnceCell;

/// A migrated, empty database.
pub struct Database {
    /// Connections to it.
    pub pool: PgPool,
    /// Where it is.
    pub url: String,
    /// Here until this is dropped.
    taken: Option<TestDatabase>,
    spoilt: bool,
}

static SERVER: OnceCell<(Postgres, TestDatabases)> = OnceCell::const_new();

/// Databases whose tests are over.
static USED: Mutex<Vec<TestDatabase>> = Mutex::new(Vec::new());

/// Ends whoever is still connected, then takes every row out of every table, whatever guards it. The migrations put one row
/// into some of them, and so does this.
const EMPTY: &str = "
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
    insert into webhook_cursor (position) values (0)";

impl Database {
    /// A database that no other test sees.
    pub async fn new() -> Self {
        let (_, databases) = SERVER.get_or_init(start).await;
        let used = USED.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let taken = match used {
            Some(used) => {
                empty(&used).await;
                used
            }
            None => databases.create().await.expect("a database of its own"),
        };
        let url = taken.url().to_owned();
        let pool = db::connect(&SecretString::from(url.clone()), 10).await.expect("a connection to it");
        Self { pool, url, taken: Some(taken), spoilt: false }
    }

    /// The test changes more than rows: no other test gets this database after it.
    pub fn do_not_reuse(&mut self) {
        self.spoilt = true;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let taken = self.taken.take().filter(|_| !self.spoilt);
        USED.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
    }
}

async fn empty(database: &TestDatabase) {
    let mut connection = PgConnection::connect(database.url()).await.expect("a connection to a used database");
    sqlx::raw_sql(EMPTY).execute(&mut connection).await.expect("an empty database");
    // What was deleted would be looked at again and again.
    let tables = "select string_agg(tablename, ', ') from pg_tables where schemaname = 'public'";
    let tables: String = sqlx::query_scalar(tables).fetch_one(&mut connection).await.expect("the tables");
    let vacuum = sqlx::AssertSqlSafe(format!("vacuum {tables}"));
    sqlx::raw_sql(vacuum).execute(&mut connection).await.expect("a tidy database");
    connection.close().await.expect("a closed connection");
}

async fn start() -> (Postgres, TestDatabases) {
    let server = Postgres::start(PostgresOptions::for_tests()).await.expect("PostgreSQL for the tests");
    let migrate = |url: String| async move {
        let pool = db::connect(&SecretString::from(url), 1).await?;
        db::migrate(&pool).await?;
        pool.close().await;
        Ok::<_, db::DbError>(())
    };
    let databases = TestDatabases::prepare(&server.url(), migrate).await.expect("a migrated template");
    (server, databases)
}

/// The account mappings that hold now, at most a hundred.
pub async fn current_mappings(pool: &PgPool) -> Vec<AccountMapping> {
    let now = account_mappings::snapshot(pool, Clock::real().now()).await.expect("a position");
    account_mappings::list(pool, &now, None, 100).await.expect("the mappings")
}
