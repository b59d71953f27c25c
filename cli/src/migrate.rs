//! `freehold migrate`: apply database migrations and record the installation.

use clap::Args;
use freehold_tenancy::Clock;
use freehold_tenancy::db::installation::{self, InstallationKind};

use crate::config;
use crate::database::{self, DatabaseArgs, connect};
use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;

/// Migrate the database to the schema of this version
///
/// The first run also records the AWS organisation of the database; processes that are configured for another
/// organisation refuse to start. There are no down migrations. Processes of the previous version can keep running.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    freehold migrate --config freehold.toml --database-url postgres://freehold@localhost/freehold\n\n\
    Can be repeated: migrations that have been applied are skipped.")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<Exit> {
    let config = config::load(&args.config.config)?;
    let pool = connect(&args.database, &config, 1).await?;
    let (applied, _) = database::migrate(&pool, InstallationKind::Real, &config).await?;
    let management = &config.organization.management_account_id;
    let now = Clock::real().now();
    let installation = installation::ensure(&pool, InstallationKind::Real, management, None, now).await?;
    output::print_line(match applied {
        0 => "the database is up to date".to_owned(),
        1 => "applied 1 migration".to_owned(),
        count => format!("applied {count} migrations"),
    })?;
    output::print_line(format!("installation {}, management account {management}", installation.id))?;
    Ok(Exit::Success)
}
