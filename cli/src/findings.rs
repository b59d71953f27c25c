//! `freehold findings`: list the differences between AWS and the database.

use clap::{Args, Subcommand, ValueEnum};
use freehold_api::schema::{Finding, FindingPage};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::{self, ListFormat, TextTable};
use crate::tenant_reference::TenantReference;

/// List findings, which are differences between AWS and the database
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Example:\n  freehold findings list --severity critical\n\n",
    "`freehold reconcile` compares AWS with the database now.\n\n",
    exit_codes!(),
))]
pub(crate) struct FindingsArgs {
    #[command(subcommand)]
    command: FindingsCommand,
}

#[derive(Debug, Subcommand)]
enum FindingsCommand {
    List(ListArgs),
}

/// List findings, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold findings list\n  \
    freehold findings list --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b --state all\n  \
    freehold findings list --output json | jq -r '.[] | select(.remedy == \"person\").message'")]
struct ListArgs {
    /// Only findings in this state
    #[arg(long, value_name = "STATE", default_value = "open")]
    state: StateFilter,
    /// Only findings of this severity: critical, error, warning
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// Only findings of this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateFilter {
    /// Found by the latest comparison
    Open,
    /// No longer found
    Resolved,
    /// Open and resolved findings
    All,
}

pub(crate) async fn run(args: FindingsArgs) -> anyhow::Result<Exit> {
    match args.command {
        FindingsCommand::List(args) => list(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let state = match args.state {
        StateFilter::Open => Some("open".to_owned()),
        StateFilter::Resolved => Some("resolved".to_owned()),
        StateFilter::All => None,
    };
    let api = args.client.api_client()?;
    let tenant = TenantReference::resolve_filter(args.tenant.as_ref(), &api).await?;
    let query =
        [("page_size", Some("200".to_owned())), ("state", state), ("severity", args.severity), ("tenant", tenant)];
    let mut findings: Vec<Finding> = Vec::new();
    api.for_each_page("/v1/findings", &query, |page| {
        let page: FindingPage = serde_json::from_value(page)?;
        findings.extend(page.findings);
        Ok(page.next_page_token)
    })
    .await?;
    output::print_list(&findings, args.client.output, finding_table)?;
    Ok(Exit::Success)
}

fn finding_table(findings: &[Finding]) -> TextTable {
    let mut table = output::new_table(["finding", "severity", "kind", "state", "since", "tenant", "remedy", "message"]);
    for finding in findings {
        table.add_row([
            finding.id.as_str(),
            &finding.severity,
            &finding.kind,
            &finding.state,
            &finding.first_seen_at.format("%Y-%m-%d %H:%M").to_string(),
            finding.tenant_id.as_deref().unwrap_or("-"),
            finding.operation_id.as_deref().unwrap_or(&finding.remedy),
            &finding.message,
        ]);
    }
    table
}
