//! `freehold iam-policy`: print the policy of a role in the management account.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use freehold_tenancy::Clock;
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::iam_policies::{self, PolicyRole};

use crate::config;
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::output;
use crate::serve::ConfigArgs;

/// Print the IAM policy of a role, with the ids of this organisation
///
/// Reads the ids of the organisation, of Freehold's OUs and of the groups that Freehold must not change. Needs the same
/// credentials as `freehold bootstrap`, which must have created the OUs. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    AWS_PROFILE=management freehold iam-policy control-role > control-role.json")]
pub(crate) struct IamPolicyArgs {
    /// Role in the management account
    #[arg(value_enum)]
    role: RoleArg,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Role that works in the organisation
    ControlRole,
    /// Role that changes users, groups and memberships of Identity Center
    PeopleRole,
}

pub(crate) async fn run(args: IamPolicyArgs) -> anyhow::Result<Exit> {
    args.log.start("warn");
    let config = Arc::new(config::load(&args.config.config)?);
    let aws = Aws::connect(Arc::clone(&config), Clock::real(), None, Connection::from_environment().await?);
    let ids = iam_policies::read_ids(&aws, &config).await?;
    for group in &ids.missing_groups {
        tracing::warn!(
            "Identity Center has no group `{group}`, so the policy does not protect it: create it, then print again"
        );
    }
    let role = match args.role {
        RoleArg::ControlRole => PolicyRole::Control,
        RoleArg::PeopleRole => PolicyRole::People,
    };
    let policy = iam_policies::policy(role, &ids);
    iam_policies::check_length(&policy).map_err(anyhow::Error::msg)?;
    output::print_line(serde_json::to_string_pretty(&policy)?)?;
    Ok(Exit::Success)
}
