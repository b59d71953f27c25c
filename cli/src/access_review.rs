//! `freehold access-review`: list the access to each account.

use chrono::{DateTime, Utc};
use clap::Args;
use freehold_api::schema::{AccessEntry, AccessReviewPage};

use crate::client::ClientArgs;
use crate::exit::{Exit, exit_codes};
use crate::output::ExportFormat;
use crate::tenant_reference::TenantReference;
use crate::{export, output};

const PATH: &str = "/v1/access-review";

/// List the access to each account, with its start, requester and approver
///
/// An entry is the assignment of a permission set to a group or a user, or a role through which Freehold works in the
/// account. An entry with the source `observed` was not made by Freehold: a comparison of AWS with the database found
/// it (`freehold reconcile` compares now). The members of a group are managed in your identity provider.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold access-review --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n  ",
    "freehold access-review --permission-set support --include-ended\n  ",
    "freehold access-review --output csv > review.csv\n  ",
    "freehold access-review --output ndjson | jq -r 'select(.source == \"observed\") | .aws_account_id'\n\n",
    "Columns: `since` is the start of the access; `requested by` and `approved by` are the subjects of the tokens; \
     `last seen` is the latest comparison that found the assignment in AWS.\n\n",
    "The token needs the scopes fleet and access:read.\n\n",
    exit_codes!(),
))]
pub(crate) struct AccessReviewArgs {
    /// Only access to accounts of this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    /// Only access to the account of this environment (env_…)
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only access with this permission set or role: its name or ARN
    #[arg(long, value_name = "NAME")]
    permission_set: Option<String>,
    /// Only access of this principal: its id, or the name of the group
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Include access that has ended
    #[arg(long)]
    include_ended: bool,
    #[command(flatten)]
    client: ClientArgs<ExportFormat>,
}

pub(crate) async fn run(args: AccessReviewArgs) -> anyhow::Result<Exit> {
    let api = args.client.api_client()?;
    let tenant = TenantReference::resolve_filter(args.tenant.as_ref(), &api).await?;
    let query = [
        ("tenant", tenant),
        ("environment", args.environment),
        ("permission_set", args.permission_set),
        ("principal", args.principal),
        ("include_ended", args.include_ended.then(|| "true".to_owned())),
    ];
    if let Some(media_type) = export::media_type(args.client.output) {
        return export::print_export(&api, PATH, &query, media_type).await;
    }
    let mut entries: Vec<AccessEntry> = Vec::new();
    let paged: Vec<_> = query.into_iter().chain([("page_size", Some("200".to_owned()))]).collect();
    api.for_each_page(PATH, &paged, |page| {
        let page: AccessReviewPage = serde_json::from_value(page)?;
        entries.extend(page.access_review);
        Ok(page.next_page_token)
    })
    .await?;
    if args.client.output == ExportFormat::Json {
        output::print_json(&entries)?;
    } else {
        print_entries(entries)?;
    }
    Ok(Exit::Success)
}

/// Prints the entries, grouped by account.
fn print_entries(mut entries: Vec<AccessEntry>) -> anyhow::Result<()> {
    entries.sort_by(|one, other| (&one.aws_account_id, &one.id).cmp(&(&other.aws_account_id, &other.id)));
    let headings = [
        "account",
        "tenant",
        "environment",
        "access",
        "principal",
        "since",
        "operation",
        "requested by",
        "approved by",
        "last seen",
        "remarks",
    ];
    let mut table = output::new_table(headings);
    for entry in &entries {
        let (operation, approval) = (entry.operation.as_ref(), entry.approval.as_ref());
        table.add_row([
            entry.aws_account_id.as_str(),
            &entry.tenant_id,
            &entry.environment,
            &entry.permission_set,
            &principal(entry),
            &time(Some(entry.granted_at)),
            operation.map_or("-", |operation| operation.id.as_str()),
            operation.map_or("-", |operation| operation.requested_by.as_str()),
            approval.map_or("-", |approval| approval.approved_by.as_str()),
            &time(entry.observed_at),
            &remarks(entry),
        ]);
    }
    Ok(output::print_table(&table)?)
}

fn principal(entry: &AccessEntry) -> String {
    let principal = &entry.principal;
    match (&principal.name, principal.members) {
        (Some(name), Some(members)) => format!("group {name} ({members} by Freehold)"),
        (Some(name), None) => format!("group {name}"),
        (None, _) => format!("{} {}", principal.kind.trim_start_matches("other_"), principal.id),
    }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

fn remarks(entry: &AccessEntry) -> String {
    let ended = entry.ended_at.map(|at| match &entry.ended_by {
        Some(operation) => format!("ended {} by {operation}", time(Some(at))),
        None => format!("ended {} outside Freehold", time(Some(at))),
    });
    let observed = (entry.source == "observed").then(|| "not made by Freehold".to_owned());
    let finding = entry.finding.as_ref().map(|finding| format!("{} {}", finding.kind, finding.id));
    let remarks: Vec<_> = [observed, finding, ended].into_iter().flatten().collect();
    if remarks.is_empty() { "-".to_owned() } else { remarks.join(", ") }
}
