//! A database of its own for every test, on one private PostgreSQL that ends with the program.

use freehold_sandbox::postgres::{Postgres, PostgresOptions, TestDatabase, TestDatabases};
use freehold_tenancy::db::{self, PgPool};
use secrecy::SecretString;
use tokio::sync::OnceCell;

/// A migrated, empty database; removed some time after this is dropped.
pub struct Database {
    /// Connections to it.
    pub pool: PgPool,
    /// Where it is.
    pub url: String,
    _taken: TestDatabase,
}

static SERVER: OnceCell<(Postgres, TestDatabases)> = OnceCell::const_new();

impl Database {
    /// A database that no other test sees.
    pub async fn new() -> Self {
        let (_, databases) = SERVER.get_or_init(start).await;
        let taken = databases.take().await.expect("a database of its own");
        let url = taken.url().to_owned();
        let pool = db::connect(&SecretString::from(url.clone()), 10).await.expect("a connection to it");
        Self { pool, url, _taken: taken }
    }
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
