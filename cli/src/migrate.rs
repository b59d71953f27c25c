//! `freehold migrate`: brings the database up to date and writes down what it belongs to.

use clap::Args;
use freehold_tenancy::db::installation::{self, InstallationKind};
use freehold_tenancy::{Clock, Config};

use crate::database::{self, DatabaseArgs, connect};
use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;

/// Bring the database up to date
///
/// It also writes down, once, which organisation the database belongs to; every process checks that and refuses another.
/// Migrations only go forward, and are safe to run while older processes still work.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  freehold migrate --config freehold.toml --database-url postgres://freehold@localhost/freehold\n\n\
    It can be run again: what is done already is left alone."
)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<Exit> {
    let config = Config::load(&args.config.config)?;
    let pool = connect(&args.database, &config, 1).await?;
    let (applied, _) = database::migrate(&pool, InstallationKind::Real, &config).await?;
    let management = &config.organization.management_account_id;
    let now = Clock::real().now();
    let installation = installation::ensure(&pool, InstallationKind::Real, management, None, now).await?;
    output::line(match applied {
        0 => "the database was up to date".to_owned(),
        1 => "1 migration applied".to_owned(),
        several => format!("{several} migrations applied"),
    })?;
    output::line(format!("{}, in the organisation of management account {management}", installation.id))?;
    Ok(Exit::Done)
}
