//! Tests that migrations are compatible with the previous version of Freehold, because its processes still use the
//! database during an upgrade. A change that would break the previous version must be made in a later release.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use freehold_tenancy::db::MIGRATIONS;

/// Migrations of released versions, each with its SHA-384 checksum as printed by `sha384sum migrations/*.sql`.
///
/// Each release adds its migrations here; a listed migration never changes again.
const RELEASED_MIGRATIONS: &[(i64, &str)] =
    &[(1, "bdc33bccede01d9f7bb2efdfd27cc234439828460a03a9389b3523a681cef0a62d2305b358dcc5ebbdac295a2d8ee91d")];

/// Statements that are accepted although they break a rule: number of the migration, beginning of the statement,
/// reason.
const EXCEPTIONS: &[(i64, &str, &str)] = &[
    (13, "create index audit_records_by_", "only the chaining of audit entries waits; requests write to another table"),
    (
        20,
        "alter table feed_pending add constraint event_is_complete ",
        "no column changes: one of them is named type, and each row of the previous version is accepted",
    ),
];

/// Returns the numbers of released migrations that are missing or have a different checksum.
fn changed_migrations(released: &[(i64, &str)]) -> Vec<i64> {
    let is_unchanged = |version, checksum: &str| {
        MIGRATIONS.iter().any(|migration| migration.version == version && hex(&migration.checksum) == checksum)
    };
    released
        .iter()
        .filter(|(version, checksum)| !is_unchanged(*version, checksum))
        .map(|(version, _)| *version)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + format!("{byte:02x}").as_str())
}

/// Returns a description of each rule that a statement breaks.
fn broken_rules(statement: &str, new_tables: &BTreeSet<String>) -> Vec<&'static str> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let has = |phrase: &str| format!(" {statement} ").contains(&format!(" {phrase} "));
    let names_new = || words.iter().any(|word| new_tables.contains(*word));
    let mut broken = Vec::new();
    let mut rule = |applies: bool, rule: &'static str| {
        if applies {
            broken.push(rule);
        }
    };
    rule(statement.starts_with("drop table") || statement.starts_with("drop view"), "drops a table");
    rule(statement.starts_with("truncate"), "empties a table");
    if statement.starts_with("alter table") && !names_new() {
        rule(has("rename"), "renames");
        rule(
            has("drop column")
                || (has("drop") && !has("drop constraint") && !has("drop not null") && !has("drop default")),
            "drops a column",
        );
        rule(has("type"), "changes the type of a column");
        rule(has("set not null"), "requires a value that the version before does not write");
        for column in statement.split(',').filter(|part| format!(" {part} ").contains(" add column ")) {
            let padded = format!(" {column} ");
            rule(
                padded.contains(" not null ") && !padded.contains(" default "),
                "adds a column that the previous version does not fill",
            );
        }
        let constraint = ["add constraint", "add check", "add unique", "add foreign key", "add primary key"];
        rule(constraint.iter().any(|one| has(one)) && !has("not valid"), "checks every row while it blocks writes");
    }
    if (statement.starts_with("create index") || statement.starts_with("create unique index")) && !names_new() {
        rule(!has("concurrently"), "builds an index over existing rows and blocks writes meanwhile");
        rule(statement.starts_with("create unique"), "refuses rows that the previous version may write");
    }
    broken
}

/// Returns the statements of a migration in lower case, without comments and with single spaces between words.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut code = code.join(" ").to_lowercase();
    // Text between these quotes is a literal or a function body, not a statement of the migration.
    for quote in ["$$", "'"] {
        code = code.split(quote).step_by(2).collect::<Vec<_>>().join(" ? ");
    }
    let spaced = code.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
    spaced
        .split(';')
        .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|one| !one.is_empty())
        .collect()
}

/// Returns the statements of a migration that would break the previous version.
fn incompatible_statements(number: i64, text: &str) -> Vec<String> {
    let statements = statements(text);
    let table = |statement: &String| {
        let rest = statement.strip_prefix("create table ")?;
        rest.trim_start_matches("if not exists ").split_whitespace().next().map(str::to_owned)
    };
    let new_tables: BTreeSet<String> = statements.iter().filter_map(table).collect();
    let mut incompatible_statements = Vec::new();
    for statement in &statements {
        let is_exception =
            EXCEPTIONS.iter().any(|(migration, beginning, _)| *migration == number && statement.starts_with(beginning));
        let broken = if is_exception { Vec::new() } else { broken_rules(statement, &new_tables) };
        incompatible_statements.extend(broken.into_iter().map(|rule| format!("{number:04} {rule}: {statement}")));
    }
    incompatible_statements
}

#[test]
fn every_migration_is_compatible_with_the_previous_version() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("migrations");
    let mut offending = Vec::new();
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let number: i64 = file.file_name().unwrap().to_str().unwrap()[..4].parse().unwrap();
        if !RELEASED_MIGRATIONS.iter().any(|(released, _)| *released == number) {
            offending.extend(incompatible_statements(number, &fs::read_to_string(&file).unwrap()));
        }
    }
    assert_eq!(
        offending, [""; 0],
        "expand first, move, contract in a later release; or add an exception with its reason"
    );
    assert!(EXCEPTIONS.iter().all(|(_, _, reason)| reason.len() > 20), "an exception without a reason");
}

#[test]
fn a_released_migration_never_changes() {
    assert_eq!(changed_migrations(RELEASED_MIGRATIONS), [0; 0]);

    let first = MIGRATIONS.iter().next().unwrap();
    assert_eq!(changed_migrations(&[(first.version, &hex(&first.checksum))]), [0; 0]);
    assert_eq!(changed_migrations(&[(first.version, "00"), (999, "00")]), [first.version, 999]);
}

#[test]
fn an_incompatible_migration_is_detected() {
    for text in [
        "drop table tenants;",
        "alter table tenants rename column tier to plan;",
        "alter table tenants rename to customers;",
        "alter table tenants drop column tier;",
        "ALTER TABLE tenants\n    DROP tier;",
        "alter table tenants alter column tier type integer using 1;",
        "alter table tenants alter column tier set not null;",
        "alter table tenants add column colour text not null; -- default later",
        "alter table tenants add column size integer default 1, add column colour text not null;",
        "alter table tenants add constraint c check (tier <> '');",
        "create index on events (occurred_at);",
        "create unique index concurrently on tenants (company_name);",
        "truncate events;",
    ] {
        assert_eq!(incompatible_statements(99, text).len(), 1, "{text}: {:?}", incompatible_statements(99, text));
    }
    for text in [
        "create table colours (name text not null, type text not null); create unique index on colours (name);",
        "alter table tenants add column colour text;",
        "alter table tenants add column colour text not null default 'drop table';",
        "alter table tenants add constraint c check (tier <> '') not valid;",
        "create index concurrently on events (occurred_at);",
        "comment on column tenants.tier is 'drop table tenants; rename';",
        "create function f() returns trigger language plpgsql as $$ begin drop table tenants; end $$;",
        "alter table tenants drop constraint tenants_tier_check;",
    ] {
        assert_eq!(incompatible_statements(99, text), [""; 0], "{text}");
    }
}
