//! One database a test, made in the time it takes to copy a few megabytes: the migrations run once, into a template.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::PostgresError;

/// A server with a migrated template database, from which tests take their own.
#[derive(Debug)]
pub struct TestDatabases {
    server: PgConnectOptions,
    server_url: String,
    template: String,
    taken: AtomicUsize,
    /// Databases whose tests are over; the next test removes them.
    finished: Arc<Mutex<Vec<String>>>,
}

/// The database of one test; removed some time after this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    finished: Arc<Mutex<Vec<String>>>,
}

impl TestDatabases {
    /// Makes an empty database on the server at `server_url`, which must be a superuser's, has `migrate` (given its URL)
    /// bring it up to date, and keeps it as the template.
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
            taken: AtomicUsize::new(0),
            finished: Arc::default(),
        };
        databases.execute(&format!("create database {template}")).await?;
        migrate(databases.url_of(&template))
            .await
            .map_err(|error| PostgresError::database("migrating the template database", error))?;
        // Nobody may be connected to a database that is being copied.
        databases.execute(&format!("alter database {template} allow_connections false")).await?;
        Ok(databases)
    }

    /// A fresh, migrated database.
    pub async fn take(&self) -> Result<TestDatabase, PostgresError> {
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        for name in finished {
            self.execute(&format!("drop database if exists {name} with (force)")).await?;
        }
        let name =
            format!("{}_{}", self.template.replacen("template", "test", 1), self.taken.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("create database {name} template {}", self.template)).await?;
        Ok(TestDatabase { url: self.url_of(&name), name, finished: Arc::clone(&self.finished) })
    }

    /// The server's URL with another database in it.
    fn url_of(&self, database: &str) -> String {
        let (url, query) = self.server_url.split_once('?').unwrap_or((&self.server_url, ""));
        let authority = url.find("://").map_or(0, |at| at + 3);
        let base = url[authority..].find('/').map_or(url, |at| &url[..authority + at]);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{base}/{database}{mark}{query}")
    }

    async fn execute(&self, statement: &str) -> Result<(), PostgresError> {
        let run = async {
            let mut connection: PgConnection = self.server.connect().await?;
            // The names in these statements are made here, of letters, digits and underscores.
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await
        };
        run.await.map_err(|error| PostgresError::database(statement, error))
    }
}

impl TestDatabase {
    /// Where to connect.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.name));
    }
}
