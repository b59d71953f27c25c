//! `freehold migrate`: apply database migrations and record the installation.

use clap::Args;
use freehold_tenancy::config::Database;
use freehold_tenancy::db::installation::{self, InstallationKind};
use freehold_tenancy::db::{self, MigrationReport};
use freehold_tenancy::{Clock, audit};

use crate::config;
use crate::database::{self, DatabaseArgs, connect};
use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;

/// Migrate the database to the schema of this version
///
/// Creates the database roles of owner, API and worker, migrates the tables as the owner, and grants API and worker
/// what they need. The user of the URL must be a superuser, a user with CREATEROLE, or a member of the owner role. The
/// first run also records the AWS organisation of the database; processes that are configured for another organisation
/// refuse to start. If audit.signing_key is set, the first run also anchors the empty audit trail. Each run stores
/// audit.retention_days. There are no down migrations. Processes of the previous version can keep running.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    freehold migrate --config freehold.toml --database-url postgres://postgres@localhost/freehold\n\n\
    Can be repeated: what has been done is skipped. FREEHOLD_DATABASE__API_PASSWORD and \
    FREEHOLD_DATABASE__WORKER_PASSWORD set the passwords of the two roles.")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<Exit> {
    let config = config::load(&args.config.config)?;
    let mut pool = connect(&args.database, &config, 1, None).await?;
    let owner = &config.database.owner_role;
    // A member of the owner role that does not inherit its rights cannot read the tables by itself.
    if db::migration::has_tables_of(&pool, owner).await?
        && let Ok(as_owner) = connect(&args.database, &config, 1, Some(owner.clone())).await
    {
        pool = as_owner;
    }
    let (report, existing) = database::migrate(&pool, InstallationKind::Real, &config).await?;
    let pool = connect(&args.database, &config, 1, Some(owner.clone())).await?;
    database::store_retention(&pool, &config, existing.as_ref()).await?;
    let management = &config.organization.management_account_id;
    let now = Clock::real().now();
    let installation = installation::ensure(&pool, InstallationKind::Real, management, None, now).await?;
    for line in describe(&report, &config.database) {
        output::print_line(line)?;
    }
    output::print_line(format!("installation {}, management account {management}", installation.id))?;
    if config.audit.installation_id.is_none() {
        let id = installation.id;
        output::print_note(format!("set audit.installation_id = \"{id}\", which `freehold audit verify` compares"));
    }
    if existing.is_none() {
        match audit::anchor_first(&pool, &config.audit, &installation, now).await? {
            Some(anchor) => output::print_line(format!("first anchor of the audit trail: {}", anchor.line()))?,
            None => output::print_note(
                "no anchor of the audit trail was written, because audit.signing_key is not set here; the process that \
                 has the key writes the first one when it starts",
            ),
        }
    }
    Ok(Exit::Success)
}

/// Returns one line for each kind of change, and one for each new role that cannot log in yet.
fn describe(report: &MigrationReport, config: &Database) -> Vec<String> {
    let count = |count: usize, one: &str, several: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {several}"),
    };
    let names = |roles: &[_]| roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    if !report.created_roles.is_empty() {
        lines.push(format!("created the database roles {}", names(&report.created_roles)));
    }
    if report.taken_over > 0 {
        let objects = count(report.taken_over, "object", "objects");
        lines.push(format!("{objects} now belong to {}", config.owner_role));
    }
    lines.push(match report.applied {
        0 => "the database is up to date".to_owned(),
        applied => format!("applied {}", count(applied, "migration", "migrations")),
    });
    if report.privileges > 0 {
        lines.push(format!("changed privileges with {}", count(report.privileges, "statement", "statements")));
    }
    if !report.passwords.is_empty() {
        lines.push(format!("set the passwords of {}", names(&report.passwords)));
    }
    for role in &report.refused_passwords {
        lines.push(format!(
            "the password of {role} was not set, because this user may not alter the role; if it has changed, set it \
             as an administrator of the database with `\\password {role}` in psql"
        ));
    }
    for (role, variable) in [(&config.api_role, "API_PASSWORD"), (&config.worker_role, "WORKER_PASSWORD")] {
        if report.created_roles.contains(role) && !report.passwords.contains(role) {
            lines.push(format!(
                "the role {role} has no password; set one with `\\password {role}` in psql or with \
                 FREEHOLD_DATABASE__{variable}, or let the role log in with a certificate"
            ));
        }
    }
    lines
}
