//! Migrations expand: while one is applied, and until the last process of the version before has gone, that version reads
//! and writes the same tables. What it could not bear goes in a later release, when nobody reads it any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The latest migration of a version that somebody may still run.
const RELEASED: u32 = 19;

/// What is taken all the same: the migration, the beginning of the statement, and why nobody is hurt.
const TAKEN: &[(u32, &str, &str)] = &[(
    20,
    "alter table approvals add constraint approvals_action_check",
    "approvals are few, and the check lets pass whatever the one before it did",
)];

/// Rules that a statement breaks, in words.
fn broken(statement: &str, new_tables: &BTreeSet<String>) -> Vec<&'static str> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let has = |phrase: &str| format!(" {statement} ").contains(&format!(" {phrase} "));
    let names_new = || words.iter().any(|word| new_tables.contains(*word));
    let mut broken = Vec::new();
    let mut rule = |applies: bool, what: &'static str| {
        if applies {
            broken.push(what);
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
        rule(has("set not null"), "asks for a value that the version before does not write");
        for column in statement.split(',').filter(|part| format!(" {part} ").contains(" add column ")) {
            let padded = format!(" {column} ");
            rule(
                padded.contains(" not null ") && !padded.contains(" default "),
                "adds a column that the version before does not fill",
            );
        }
        let constraint = ["add constraint", "add check", "add unique", "add foreign key", "add primary key"];
        rule(
            constraint.iter().any(|one| has(one)) && !has("not valid"),
            "checks every row, and nobody writes meanwhile",
        );
    }
    if (statement.starts_with("create index") || statement.starts_with("create unique index")) && !names_new() {
        rule(!has("concurrently"), "builds an index over rows that are there, and nobody writes meanwhile");
        rule(statement.starts_with("create unique"), "refuses what the version before may write");
    }
    broken
}

/// The statements of a migration, in lower case, without comments, each word apart.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut code = code.join(" ").to_lowercase();
    // What is between these is a text or the body of a function, not a statement of the migration.
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

/// What a migration does that the version before could not bear.
fn offences(number: u32, text: &str) -> Vec<String> {
    let statements = statements(text);
    let table = |statement: &String| {
        let rest = statement.strip_prefix("create table ")?;
        rest.trim_start_matches("if not exists ").split_whitespace().next().map(str::to_owned)
    };
    let new_tables: BTreeSet<String> = statements.iter().filter_map(table).collect();
    let mut offences = Vec::new();
    for statement in &statements {
        let taken =
            TAKEN.iter().any(|(migration, beginning, _)| *migration == number && statement.starts_with(beginning));
        let broken = if taken { Vec::new() } else { broken(statement, &new_tables) };
        offences.extend(broken.into_iter().map(|what| format!("{number:04} {what}: {statement}")));
    }
    offences
}

#[test]
fn the_version_before_bears_every_migration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("migrations");
    let mut offending = Vec::new();
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let number: u32 = file.file_name().unwrap().to_str().unwrap()[..4].parse().unwrap();
        if number > RELEASED {
            offending.extend(offences(number, &fs::read_to_string(&file).unwrap()));
        }
    }
    assert_eq!(
        offending, [""; 0],
        "expand first, move, contract in a later release; or say in TAKEN why nobody is hurt"
    );
    assert!(TAKEN.iter().all(|(_, _, why)| why.len() > 20), "an exception without a reason");
}

#[test]
fn what_the_version_before_could_not_bear_is_found() {
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
        assert_eq!(offences(99, text).len(), 1, "{text}: {:?}", offences(99, text));
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
        assert_eq!(offences(99, text), [""; 0], "{text}");
    }
}
