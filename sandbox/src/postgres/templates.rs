//! Test databases. The migrations run once, in a template database; each test uses its own copy of this database.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::PostgresError;

/// Source of test databases, which are copies of a migrated template database.
#[derive(Debug)]
pub struct TestDatabases {
    server: PgConnectOptions,
    server_url: String,
    template: String,
    created: AtomicUsize,
    /// Names of the databases of finished tests. The next call of [`TestDatabases::create`] drops these databases.
    finished: Arc<Mutex<Vec<String>>>,
}

/// The database of one test. After this value is dropped, the next call of [`TestDatabases::create`] drops the
/// database.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    finished: Arc<Mutex<Vec<String>>>,
}

impl TestDatabases {
    /// Creates the template database and runs `migrate` with its URL. The user of `server_url` must be a superuser.
    pub async fn prepare<M, Migrated, E>(server_url: &str, migrate: M) -> Result<Self, PostgresError>
    where
        M: FnOnce(String) -> Migrated,
        Migrated: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let server: PgConnectOptions = server_url
            .parse()
            .map_err(|error: sqlx::Error| PostgresError::database("reading the server's URL", error))?;
        let template = format!("template_{}", uuid::Uuid::now_v7().simple());
        let databases = Self {
            server,
            server_url: server_url.to_owned(),
            template: template.clone(),
            created: AtomicUsize::new(0),
            finished: Arc::default(),
        };
        databases.execute(&format!("create database {template}")).await?;
        migrate(databases.database_url(&template))
            .await
            .map_err(|error| PostgresError::database("migrating the template database", error))?;
        // PostgreSQL can copy a database only while it has no connections.
        databases.execute(&format!("alter database {template} allow_connections false")).await?;
        Ok(databases)
    }

    /// Creates a migrated database for a test, and drops the databases of finished tests.
    pub async fn create(&self) -> Result<TestDatabase, PostgresError> {
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        for name in finished {
            self.execute(&format!("drop database if exists {name} with (force)")).await?;
        }
        let name = format!(
            "{}_{}",
            self.template.replacen("template", "test", 1),
            self.created.fetch_add(1, Ordering::Relaxed)
        );
        self.execute(&format!("create database {name} template {}", self.template)).await?;
        Ok(TestDatabase { url: self.database_url(&name), name, finished: Arc::clone(&self.finished) })
    }

    /// Returns the server's URL with the given database.
    fn database_url(&self, database: &str) -> String {
        let (url, query) = self.server_url.split_once('?').unwrap_or((&self.server_url, ""));
        let authority = url.find("://").map_or(0, |at| at + 3);
        let base = url[authority..].find('/').map_or(url, |at| &url[..authority + at]);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{base}/{database}{mark}{query}")
    }

    async fn execute(&self, statement: &str) -> Result<(), PostgresError> {
        let run = async {
            let mut connection: PgConnection = self.server.connect().await?;
            // This is safe, because the database names are generated here from letters, digits and underscores.
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await
        };
        run.await.map_err(|error| PostgresError::database(statement, error))
    }
}

impl TestDatabase {
    /// Returns the connection URL of the database.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.name));
    }
}
