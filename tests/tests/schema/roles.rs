//! Tests of the database roles: the users that may migrate, the upgrade of an installation with one user, and the
//! logins that a process refuses.

use freehold_sandbox::postgres::{ListenMode, Postgres, PostgresOptions};
use freehold_tenancy::config::{self, DatabaseRoles};
use freehold_tenancy::db::{self, DbError, MIGRATIONS};
use freehold_tests::database::{Database, with_user};
use freehold_tests::fixture::CONFIG;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgPool};

use crate::cli::process::{freehold, text};

/// Empty database on the server of the tests, with roles that no other test uses.
struct EmptyDatabase {
    /// Database of the tests, whose administrator is a superuser.
    existing: Database,
    /// URL for the superuser.
    url: String,
    /// Prefix of the roles.
    prefix: String,
    config: config::Database,
}

impl EmptyDatabase {
    /// Creates the database. Its owner is a new login with these attributes.
    async fn new(attributes: &str) -> Self {
        let existing = Database::new().await;
        let prefix = format!("r{}", uuid::Uuid::now_v7().simple());
        let (address, parameters) = existing.url.split_once('?').unwrap_or((&existing.url, ""));
        let (server, _) = address.rsplit_once('/').unwrap();
        let url = format!("{server}/{prefix}?{parameters}");
        let section = toml_section(&prefix);
        let config = config::Config::parse(&format!("{CONFIG}\n{section}")).unwrap().database;
        let database = Self { existing, url, prefix, config };
        database.execute(&format!("create role {}_old login {attributes}", database.prefix)).await;
        database.execute(&format!("create database {0} owner {0}_old", database.prefix)).await;
        database
    }

    /// Executes a statement as a superuser in another database.
    async fn execute(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.existing.pool).await.unwrap();
    }

    fn url_of(&self, role: &str) -> String {
        let name: config::RoleName =
            serde_json::from_value(serde_json::json!(format!("{}_{role}", self.prefix))).unwrap();
        with_user(&self.url, &name)
    }

    async fn pool_of(&self, role: &str) -> PgPool {
        db::connect(&SecretString::from(self.url_of(role)), 2).await.unwrap()
    }
}

fn toml_section(prefix: &str) -> String {
    let role = |name: &str| format!("{name}_role = \"{prefix}_{name}\"\n");
    format!("[database]\n{}{}{}", role("owner"), role("api"), role("worker"))
}

#[tokio::test]
async fn an_installation_with_one_user_gets_roles() {
    let database = EmptyDatabase::new("").await;
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("freehold.toml");
    let section = toml_section(&database.prefix);
    std::fs::write(&path, format!("{CONFIG}\n{section}")).unwrap();
    let run = |command: &[&str], url: &str| {
        let run = freehold(&[command, &["--config", path.to_str().unwrap(), "--database-url", url]].concat());
        (run.status.code(), text(&run.stderr) + text(&run.stdout).as_str())
    };
    let old = database.pool_of("old").await;
    let passwords = "api_password = \"a-password-of-the-api\"\nworker_password = \"a-password-of-the-worker\"\n";
    std::fs::write(&path, format!("{CONFIG}\n{section}{passwords}")).unwrap();
    // An earlier version has migrated the database as its only user.
    MIGRATIONS.run(&old).await.unwrap();

    let (code, output) = run(&["migrate"], &database.url_of("old"));
    let statements: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect();
    assert!(code == Some(1) && output.contains("run this as an administrator of the database"), "{output}");
    assert!(statements.iter().any(|one| one.starts_with("create role ")), "{output}");
    for statement in &statements {
        database.execute(statement).await;
    }
    let (code, output) = run(&["migrate"], &database.url_of("old"));
    let owner = &database.config.owner_role;
    assert!(code == Some(0) && output.contains(&format!("objects now belong to {owner}")), "{output}");
    let foreign: i64 = sqlx::query_scalar(
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')
         and pg_get_userbyid(relowner) <> $1",
    )
    .bind(owner.as_str())
    .fetch_one(&old)
    .await
    .unwrap();
    assert_eq!(foreign, 0, "tables that do not belong to the owner role");
    // A process of the previous version that still uses the old login continues.
    sqlx::query("delete from slots").execute(&old).await.unwrap();
    let (code, output) = run(&["migrate"], &database.url_of("old"));
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("the database is up to date\n"), "{output}");
    for role in [&database.config.api_role, &database.config.worker_role] {
        let note = format!("the password of {role} was not set, because this user may not alter the role");
        assert!(output.contains(&note), "{output}");
    }
    std::fs::write(&path, format!("{CONFIG}\n{section}")).unwrap();
    let (code, output) = run(&["migrate"], &database.url_of("old"));
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("the database is up to date\ninstallation "), "{output}");

    // From PostgreSQL 16 on, a membership keeps the attribute that the login had when it became a member.
    database.execute(&format!("alter role {0}_old noinherit", database.prefix)).await;
    database.execute(&format!("revoke {owner} from {0}_old", database.prefix)).await;
    database.execute(&format!("grant {owner} to {0}_old", database.prefix)).await;
    let (code, output) = run(&["migrate"], &database.url_of("old"));
    assert_eq!(code, Some(0), "a login that does not inherit: {output}");
    database.execute(&format!("alter role {0}_old inherit", database.prefix)).await;
    database.execute(&format!("revoke {owner} from {0}_old", database.prefix)).await;
    database.execute(&format!("grant {owner} to {0}_old", database.prefix)).await;

    // The old login owns the tables, so a process of this version refuses it.
    let arguments = ["api", "--listen", "127.0.0.1:0"];
    let (code, output) = run(&arguments, &database.url_of("old"));
    let use_role = format!("use the role {}", database.config.api_role);
    assert!(code == Some(1) && output.contains("owns the tables") && output.contains(&use_role), "{output}");
    let (code, output) = run(&arguments, &database.url_of("worker"));
    assert!(code == Some(1) && output.contains("has the rights of"), "{output}");
    let (code, output) = run(&arguments, &database.url_of("api"));
    assert!(code == Some(1) && output.contains("api.issuer: must be") && !output.contains("connects to"), "{output}");
    let (code, output) = run(&["recover", "--plan"], &database.url_of("worker"));
    assert!(code == Some(1), "{output}");
    let signing_key = "[audit]\nsigning_key = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";
    std::fs::write(&path, format!("{CONFIG}\n{section}allow_owner = true\n{signing_key}")).unwrap();
    let (code, output) = run(&arguments, &database.url_of("old"));
    let is_warned = output.contains("WARN") && output.contains("owns the tables");
    assert!(output.contains("audit.signing_key must be set for workers only"), "{output}");
    assert!(code == Some(1) && is_warned && output.contains("api.issuer: must be"), "{output}");
}

#[tokio::test]
async fn an_administrator_without_superuser_rights_can_migrate() {
    let database = EmptyDatabase::new("createrole").await;
    let (pool, config) = (database.pool_of("old").await, &database.config);
    let report = db::migrate(&pool, config).await.unwrap();
    assert_eq!(report.created_roles, [&config.owner_role, &config.api_role, &config.worker_role].map(Clone::clone));
    assert_eq!((report.applied, report.taken_over), (MIGRATIONS.iter().count(), 0));
    let api = database.pool_of("api").await;
    assert!(db::is_migrated(&api).await.unwrap());
    assert_eq!(db::migrate(&pool, config).await.unwrap(), db::MigrationReport::default());
    // Public rights that an older server grants are revoked.
    let create = sqlx::raw_sql("create temporary table t (id int)").execute(&api).await;
    assert!(create.is_err(), "the API created a temporary table");
}

#[tokio::test]
async fn workers_with_a_login_of_their_own_are_counted() {
    let database = EmptyDatabase::new("createrole").await;
    let pool = database.pool_of("old").await;
    db::migrate(&pool, &database.config).await.unwrap();
    database.execute(&format!("create role {0}_own login in role {0}_worker", database.prefix)).await;
    let count = async || {
        let mut tx = pool.begin().await.unwrap();
        let set_role = format!("set local role {}", database.config.owner_role);
        sqlx::raw_sql(AssertSqlSafe(set_role)).execute(&mut *tx).await.unwrap();
        let count = db::recovery::count_workers(&mut tx).await.unwrap();
        let role: String = sqlx::query_scalar("select current_user::text").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(role, database.config.owner_role.as_str());
        count
    };
    let api = database.pool_of("api").await;
    sqlx::query("select 1").execute(&api).await.unwrap();
    assert_eq!(count().await, 0, "workers");
    let own = database.pool_of("own").await;
    sqlx::query("select 1").execute(&own).await.unwrap();
    assert!(count().await >= 1, "a worker that the owner does not see");
}

#[tokio::test]
async fn databases_of_one_server_can_be_migrated_at_the_same_time() {
    let first = EmptyDatabase::new("").await;
    let names: Vec<_> = (0..6).map(|number| format!("{}_{number}", first.prefix)).collect();
    let mut pools = Vec::new();
    for name in &names {
        first.execute(&format!("create database {name}")).await;
        let url = first.url.replacen(&format!("/{}?", first.prefix), &format!("/{name}?"), 1);
        pools.push(db::connect(&SecretString::from(url), 2).await.unwrap());
    }
    let reports = futures::future::join_all(pools.iter().map(|pool| db::migrate(pool, &first.config))).await;
    let created: usize = reports.into_iter().map(|report| report.unwrap().created_roles.len()).sum();
    assert_eq!(created, 3, "roles");
}

#[tokio::test]
async fn a_role_with_more_rights_than_it_needs_is_refused() {
    for (change, words) in [
        ("create role {}_api login createdb", "must not have the attribute CREATEDB"),
        ("create role {}_worker login superuser", "must not have the attribute SUPERUSER"),
        ("create role {}_owner login", "must not be able to log in"),
        ("create role {}_api login; create role {}_worker login in role {}_api", "must not be a member of"),
        ("create role {}_owner; create role {}_api login in role {}_owner", "must not be a member of"),
        ("create role {}_api login in role pg_write_all_data", "must not be a member of pg_write_all_data"),
    ] {
        let database = EmptyDatabase::new("").await;
        database.execute(&change.replace("{}", &database.prefix)).await;
        let pool = db::connect(&SecretString::from(database.url.clone()), 1).await.unwrap();
        let error = db::migrate(&pool, &database.config).await.unwrap_err();
        assert!(matches!(error, DbError::UnsafeRole(_)) && error.to_string().contains(words), "{change}: {error}");
        // The message contains the statement that repairs the role.
        let statement = error.to_string();
        let statement = statement.split('`').nth(1).unwrap().to_owned();
        database.execute(&statement).await;
        db::migrate(&pool, &database.config).await.unwrap();
    }
}

#[tokio::test]
async fn each_process_logs_in_with_the_password_of_its_role() {
    let options = PostgresOptions { listen: ListenMode::Loopback, ..PostgresOptions::for_tests() };
    let server = Postgres::start(options).await.unwrap();
    let pool = db::connect(&SecretString::from(server.url()), 2).await.unwrap();
    let passwords = ["a-password-of-the-api", "a-password-of-the-worker"];
    let mut config = config::Database {
        api_password: Some(passwords[0].into()),
        worker_password: Some(passwords[1].into()),
        ..config::Database::default()
    };
    let report = db::migrate(&pool, &config).await.unwrap();
    let roles = DatabaseRoles::default();
    assert_eq!(report.passwords, [&roles.api, &roles.worker].map(Clone::clone));
    let stored: Vec<String> = sqlx::query_scalar(
        "select rolpassword from pg_authid where rolname like 'freehold\\__%' and rolpassword is not null",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(stored.len() == 2 && stored.iter().all(|verifier| verifier.starts_with("SCRAM-SHA-256$4096:")));

    let options: PgConnectOptions = server.url().parse().unwrap();
    let log_in = async |role: &config::RoleName, password: &str| -> Result<PgConnection, sqlx::Error> {
        options.clone().username(role.as_str()).password(password).connect().await
    };
    for (role, password, other) in
        [(&roles.api, passwords[0], passwords[1]), (&roles.worker, passwords[1], passwords[0])]
    {
        log_in(role, password).await.unwrap().close().await.unwrap();
        assert!(log_in(role, other).await.is_err(), "{role}");
    }
    // A rotation: the next migration sets the new password, and keeps the one that is not configured.
    config.api_password = Some("another-password-of-the-api".into());
    config.worker_password = None;
    db::migrate(&pool, &config).await.unwrap();
    log_in(&roles.api, "another-password-of-the-api").await.unwrap();
    assert!(log_in(&roles.api, passwords[0]).await.is_err());
    log_in(&roles.worker, passwords[1]).await.unwrap();
    pool.close().await;
    server.stop().await.unwrap();
}
