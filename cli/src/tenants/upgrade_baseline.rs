//! `freehold tenants upgrade-baseline`: bring the roles of Freehold in existing accounts to the current version.

use clap::Args;
use freehold_api::schema::{BaselineUpgrade, Tenant, TenantPage};
use serde_json::json;

use super::{environment_path, get_tenant};
use crate::client::{ApiClient, ClientArgs};
use crate::exit::{Exit, ExitError, exit_codes};
use crate::output::{self, Format};
use crate::tenant_reference::TenantReference;

/// Upgrade the baseline: the roles of Freehold in the AWS accounts of a tenant
///
/// Brings existing accounts to the version of this installation and its configuration, for example after a change of
/// access_role.statements. The environments stay ready. Prints one line per environment: the started operation,
/// "current", or the reason why no upgrade was started.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold tenants upgrade-baseline ten_01k2m8v3x9e7rt4s5q6w7y8z9b --environment staging\n  ",
    "freehold tenants upgrade-baseline --all\n\n",
    "The exit code is 1 if the upgrade of an environment was refused.\n\n",
    exit_codes!(),
))]
pub(super) struct UpgradeBaselineArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT", required_unless_present = "all", conflicts_with = "all")]
    id: Option<TenantReference>,
    /// Only this environment [default: all environments]
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    environment: Option<String>,
    /// Upgrade the environments of all tenants
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Result for one environment.
struct Row {
    tenant: String,
    environment: String,
    result: Result<BaselineUpgrade, String>,
}

pub(super) async fn run(args: UpgradeBaselineArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenants = match &args.id {
        Some(id) => vec![get_tenant(&api, &id.resolve_for_change(&api).await?).await?],
        None => all_tenants(&api).await?,
    };
    let mut rows = Vec::new();
    for tenant in &tenants {
        let is_wanted = |name: &str| args.environment.as_deref().is_none_or(|wanted| wanted == name);
        let found = tenant.environments.iter().filter(|one| one.state != "offboarded" && is_wanted(&one.name));
        for environment in found {
            rows.push(upgrade(&api, &tenant.id, &environment.name).await?);
        }
    }
    if let (Some(name), true) = (&args.environment, rows.is_empty()) {
        return Err(Exit::NotFound.error(format!("the tenant has no environment {name}")));
    }
    print(&rows, args.client.output)?;
    Ok(if rows.iter().all(|row| row.result.is_ok()) { Exit::Success } else { Exit::Failure })
}

async fn all_tenants(api: &ApiClient) -> anyhow::Result<Vec<Tenant>> {
    let mut tenants = Vec::new();
    api.for_each_page("/v1/tenants", &[("page_size", Some("200".to_owned()))], |page| {
        let page: TenantPage = serde_json::from_value(page)?;
        tenants.extend(page.tenants);
        Ok(page.next_page_token)
    })
    .await?;
    Ok(tenants)
}

/// Requests the upgrade of one environment. A refusal is a result; an unreachable API or a rejected token is an error.
async fn upgrade(api: &ApiClient, tenant: &str, name: &str) -> anyhow::Result<Row> {
    let path = format!("{}/baseline-upgrades", environment_path(tenant, name));
    let result = match api.post(&path, &[], None::<&()>).await {
        Ok(upgrade) => Ok(upgrade),
        Err(error) => match error.downcast_ref::<ExitError>().map(|error| error.exit) {
            Some(Exit::Failure) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
            _ => return Err(error),
        },
    };
    Ok(Row { tenant: tenant.to_owned(), environment: name.to_owned(), result })
}

fn print(rows: &[Row], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        let rows = rows.iter().map(|Row { tenant, environment, result }| {
            let (upgrade, refused) = (result.as_ref().ok(), result.as_ref().err());
            json!({ "tenant_id": tenant, "environment": environment, "upgrade": upgrade, "refused": refused })
        });
        return output::print_json(&rows.collect::<Vec<_>>());
    }
    let mut table = output::new_table(["tenant", "environment", "version", "target", "result"]);
    for Row { tenant, environment, result } in rows {
        let (version, target, result) = match result {
            Ok(upgrade) => (
                upgrade.version.as_str(),
                upgrade.target_version.as_str(),
                upgrade.operation_id.as_deref().unwrap_or("current"),
            ),
            Err(reason) => ("-", "-", reason.as_str()),
        };
        table.add_row([tenant.as_str(), environment, version, target, result]);
    }
    Ok(output::print_table(&table)?)
}
