//! Unique values that a test writes into each text column of the database and into the configuration, to find them
//! again where they must not be.

use std::collections::BTreeSet;
use std::path::PathBuf;

use freehold_tenancy::OperationId;
use freehold_tenancy::db::PgPool;
use freehold_tests::api_fixture::ApiFixture;
use serde_json::{Map, Value, json};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres};

/// Columns that keep their values, because a bundle cannot be read without them: enums of Freehold, which cannot
/// contain a text of others.
const KEPT_COLUMNS: [&str; 3] = ["operations.kind", "operations.state", "operation_steps.state"];

/// JSON field that keeps its value, because it finds the records of the operation.
const KEPT_FIELD: &str = "audit_records.record/operation_id";

/// Form of the canaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanaryForm {
    /// Sentence with a name, an e-mail address and a network address.
    Text,
    /// Single word, as request ids and codes are.
    Identifier,
}

/// Canaries in the database.
pub(super) struct Canaries {
    connection: PoolConnection<Postgres>,
    /// Location of each canary: table, column and path within JSON.
    locations: Vec<String>,
}

/// Column of a table.
#[derive(sqlx::FromRow)]
struct Column {
    table: String,
    name: String,
    /// Type of the column, as PostgreSQL names it.
    kind: String,
}

impl Canaries {
    /// Prepares the database: no constraint and no trigger rejects a canary.
    pub(super) async fn new(pool: &PgPool) -> Self {
        let mut connection = pool.acquire().await.expect("a connection");
        let statements: Vec<String> = sqlx::query_scalar(
            "select format('alter table %s drop constraint %I', conrelid::regclass, conname) from pg_constraint
             where contype = 'c' and connamespace = 'public'::regnamespace and conrelid <> 0",
        )
        .fetch_all(&mut *connection)
        .await
        .expect("the constraints");
        for statement in statements.into_iter().chain(["set session_replication_role = replica".to_owned()]) {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await.expect("a statement");
        }
        Self { connection, locations: Vec::new() }
    }

    /// Inserts a slot of the operation, which a worker has released.
    pub(super) async fn insert_slot(&mut self, operation_path: &str) {
        let id: OperationId = operation_path.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
        sqlx::query(
            "insert into slots (quota, operation_id, step, item, requested_at, request_id)
             values ('region-opt-ins', $1, 'enable-regions', 'canary', '2026-01-01T00:00:00Z', 'request')",
        )
        .bind(id.as_uuid())
        .execute(&mut *self.connection)
        .await
        .expect("a slot");
    }

    /// Writes a canary into each text and each string in JSON, of all rows of all tables. Returns their number.
    pub(super) async fn plant(&mut self, form: CanaryForm) -> usize {
        let before = self.locations.len();
        let columns: Vec<Column> = sqlx::query_as(
            "select c.table_name::text as table, c.column_name::text as name, c.udt_name::text as kind
             from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
             where table_schema = 'public' and t.table_type = 'BASE TABLE' and table_name not like '\\_sqlx%'
               and c.udt_name in ('text', 'varchar', 'bpchar', '_text', 'json', 'jsonb')
             order by c.table_name, c.ordinal_position",
        )
        .fetch_all(&mut *self.connection)
        .await
        .expect("the columns");
        for column in columns {
            if !KEPT_COLUMNS.contains(&format!("{}.{}", column.table, column.name).as_str()) {
                self.plant_in_column(&column, form).await;
            }
        }
        self.locations.len() - before
    }

    async fn plant_in_column(&mut self, column: &Column, form: CanaryForm) {
        let Column { table, name, kind } = column;
        let rows = format!("select ctid::text, {name}::text from {table}");
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as(AssertSqlSafe(rows)).fetch_all(&mut *self.connection).await.expect("the rows");
        let location = format!("{table}.{name}");
        // The element of a text array is cast, too.
        let value = if kind == "_text" { "array[$1]".to_owned() } else { format!("$1::{kind}") };
        let update = format!("update {table} set {name} = {value} where ctid = $2::tid");
        for (row, old) in rows {
            let canary = match kind.as_str() {
                "json" | "jsonb" => {
                    let old = old.and_then(|old| serde_json::from_str(&old).ok()).unwrap_or_else(|| json!({}));
                    self.replace_strings(old, &location, form).to_string()
                }
                _ => self.next(location.clone(), form),
            };
            let update = sqlx::query(AssertSqlSafe(update.clone())).bind(canary).bind(row);
            update.execute(&mut *self.connection).await.unwrap_or_else(|error| panic!("{location}: {error}"));
        }
    }

    /// Replaces each string within a JSON value, and adds a field with a canary as its name to each object.
    fn replace_strings(&mut self, value: Value, location: &str, form: CanaryForm) -> Value {
        match value {
            Value::String(text) if location == KEPT_FIELD => Value::String(text),
            Value::String(_) => Value::String(self.next(location.to_owned(), form)),
            Value::Array(values) => {
                values.into_iter().map(|value| self.replace_strings(value, location, form)).collect()
            }
            Value::Object(fields) => {
                let mut replaced = Map::new();
                for (name, value) in fields {
                    let value = self.replace_strings(value, &format!("{location}/{name}"), form);
                    replaced.insert(name, value);
                }
                let (name, value) = (self.next(location.to_owned(), form), self.next(location.to_owned(), form));
                replaced.insert(name, Value::String(value));
                Value::Object(replaced)
            }
            other => other,
        }
    }

    /// Returns a new canary for a location.
    fn next(&mut self, location: String, form: CanaryForm) -> String {
        let word = format!("canary{}x", self.locations.len());
        self.locations.push(location);
        match form {
            CanaryForm::Identifier => word,
            CanaryForm::Text => format!("{word} GmbH, {word}@example.com, 203.0.113.7"),
        }
    }

    /// Returns the locations of all canaries in a text.
    pub(super) fn find(&self, text: &str) -> BTreeSet<String> {
        let numbers = text.split("canary").skip(1).map(|rest| rest.split('x').next().unwrap_or_default());
        numbers
            .map(|number| number.parse::<usize>().map_or(number.to_owned(), |at| self.locations[at].clone()))
            .collect()
    }
}

/// Restarts the API with a configuration whose texts are secrets and names of the operator. Returns the texts.
pub(super) async fn plant_in_configuration(api: &mut ApiFixture) -> Vec<String> {
    let mut planted = Vec::new();
    let mut next = |field: &str| {
        let text = format!("planted-{}", field.replace('_', "-"));
        planted.push(text.clone());
        text
    };
    api.restart_with(|config| {
        let organization = &mut config.organization;
        organization.control_role_arn = next("control_role_arn");
        organization.control_role_external_id = Some(next("control_role_external_id"));
        organization.people_role_arn = Some(next("people_role_arn"));
        organization.protected_groups = vec![next("protected_groups")];
        organization.access_role_name = next("access_role_name");
        organization.parent_ou = Some(next("parent_ou"));
        organization.quarantine_ou = next("quarantine_ou");
        config.identity_center.instance_arn = Some(next("instance_arn"));
        config.identity_center.identity_store_id = Some(next("identity_store_id"));
        config.permission_sets[0].name = next("permission_set");
        config.permission_sets[0].inline_policy = Some(next("inline_policy"));
        config.access[0].group = next("group");
        config.tiers[1].tenant_group_permission_set = Some(next("tenant_group"));
        config.stack.name = next("stack_name");
        config.stack.parameters.insert(next("parameter_name"), next("parameter_value"));
        config.database.url = Some(next("database_url").into());
        config.database.api_password = Some(next("api_password").into());
        config.database.worker_password = Some(next("worker_password").into());
        config.audit.signing_key = Some(next("audit_key").into());
        config.audit.anchor_file = Some(PathBuf::from(next("anchor_file")));
        config.proof.signing_key = Some(next("proof_key").into());
        config.console.client_secret = Some(next("client_secret").into());
        config.console.client_id = next("client_id");
        config.telemetry.otlp_endpoint = Some(next("otlp_endpoint"));
    })
    .await;
    let jwks = api.issuer.jwks().display().to_string();
    planted.push(jwks);
    planted
}
