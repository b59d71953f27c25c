//! `freehold tenants offboard`, `restore`, `legal_hold`: letting customers go, and bringing them back.

use clap::Args;
use freehold_api::schema::{LegalHold, Tenant};

use super::show;
use crate::client::{ClientArgs, in_path};
use crate::exit::{Exit, exit_codes};
use crate::output;

/// Let a tenant go, or one of its environments
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants offboard ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n  ",
    "freehold tenants offboard ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging --close-account\n\n",
    "It is suspended at once: nobody gets in. It can be restored until its cooling-off period ends; after that its stack\n\
     is deleted. An account is closed only with --close-account, and once another person has approved that.\n\n",
    exit_codes!(),
))]
pub(super) struct OffboardArgs {
    #[command(flatten)]
    subject: Subject,
    /// Close the AWS account for good in the end
    #[arg(long)]
    close_account: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Bring a tenant back, or one of its environments, before its cooling-off period ends
#[derive(Debug, Args)]
#[command(after_help = concat!("Example:\n  freehold tenants restore ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n", exit_codes!()))]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    client: ClientArgs,
}

/// Put a legal hold on a tenant, or lift it
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants legal-hold ten_01k2m8v3x9e7rt4s5q6w7y8z9b --reason 'Records are to be kept for case 4711.'\n  ",
    "freehold tenants legal-hold ten_01k2m8v3x9e7rt4s5q6w7y8z9b --lift\n\n",
    exit_codes!(),
))]
pub(super) struct LegalHoldArgs {
    /// The tenant: ten_…
    #[arg(value_name = "TENANT")]
    id: String,
    /// Why nothing of the tenant may be destroyed
    #[arg(long, value_name = "TEXT", required_unless_present = "lift", conflicts_with = "lift")]
    reason: Option<String>,
    /// Lift the hold
    #[arg(long)]
    lift: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct Subject {
    /// The tenant: ten_…
    #[arg(value_name = "TENANT")]
    id: String,
    /// Only this environment [default: all of them]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

impl Subject {
    fn path(&self) -> String {
        let tenant = format!("/v1/tenants/{}", in_path(&self.id));
        self.environment.as_ref().map_or(tenant.clone(), |name| format!("{tenant}/environments/{}", in_path(name)))
    }
}

pub(super) async fn offboard(args: OffboardArgs) -> anyhow::Result<Exit> {
    let query = [("close_account", args.close_account.then(|| "true".to_owned()))];
    let tenant: Tenant = args.client.api()?.delete(&args.subject.path(), &query).await?;
    let leaving = tenant.environments.iter().filter(|environment| environment.state == "offboarding");
    for environment in leaving.filter(|_| args.close_account) {
        let (name, operation) = (&environment.name, &environment.operation_id);
        output::note(format!(
            "another person has to approve that the account of {name} is closed; what to send is told by: freehold \
             operations show {operation}"
        ));
    }
    show::show(&tenant, &[], args.client.output)?;
    Ok(Exit::Done)
}

pub(super) async fn restore(args: RestoreArgs) -> anyhow::Result<Exit> {
    let nothing: Option<&()> = None;
    let path = format!("{}/restore", args.subject.path());
    let tenant: Tenant = args.client.api()?.post(&path, &[], nothing).await?;
    show::show(&tenant, &[], args.client.output)?;
    Ok(Exit::Done)
}

pub(super) async fn legal_hold(args: LegalHoldArgs) -> anyhow::Result<Exit> {
    let api = args.client.api()?;
    let path = format!("/v1/tenants/{}/legal-hold", in_path(&args.id));
    let tenant: Tenant = match args.reason {
        Some(reason) => api.put(&path, &LegalHold { reason }).await?,
        None => api.delete(&path, &[]).await?,
    };
    show::show(&tenant, &[], args.client.output)?;
    Ok(Exit::Done)
}
