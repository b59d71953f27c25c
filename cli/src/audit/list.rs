//! `freehold audit list`: print or export the entries of the audit trail.

use chrono::{DateTime, Utc};
use clap::Args;
use freehold_api::schema::{AuditEvent, AuditEventPage};
use serde_json::Value;

use crate::client::{ApiClient, ClientArgs};
use crate::exit::{Exit, exit_codes};
use crate::output::ListFormat;
use crate::tenant_reference::TenantReference;
use crate::time_arg::{format_time, parse_time};
use crate::{export, output};

const PATH: &str = "/v1/audit-events";

/// Maximum number of entries in a page.
const MAX_PAGE_SIZE: u64 = 1000;

/// List the entries of the audit trail, oldest first
///
/// An entry is an API request that may change something, an AWS call that changes something, or a changing command. The
/// time is the start of the action. Without a filter, --from or --after, the table and JSON contain the latest entries.
///
/// The export (--output ndjson) contains all entries, one JSON object per line, each with its position, its hash and
/// the exact text that was hashed. It can have any size. Resume an interrupted export with --after and the last
/// position.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n  ",
    "freehold audit list\n  ",
    "freehold audit list --actor ann --from 2026-11-01 --until 2026-11-02\n  ",
    "freehold audit list --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b --action offboardTenant\n  ",
    "freehold audit list --action organizations:CreateAccount --output json | jq -r '.[].record.operation_id'\n  ",
    "freehold audit list --output ndjson --from 2026-10-01 --until 2026-11-01 > october.ndjson\n  ",
    "freehold audit verify --file october.ndjson\n\n",
    "The token needs the scopes fleet and audit:read.\n\n",
    exit_codes!(),
))]
pub(super) struct ListArgs {
    /// Only entries added to the trail at this time or later: 2026-11-01 or 2026-11-01T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<Utc>>,
    /// Only entries added to the trail before this time: 2026-11-02 or 2026-11-02T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<DateTime<Utc>>,
    /// Only entries about this tenant: its id (ten_…), name, e-mail, external id or AWS account id
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantReference>,
    /// Only entries about this environment (env_…), its account or its operations
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only entries about the environment of this AWS account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Only entries of this operation (op_…)
    #[arg(long, value_name = "OPERATION")]
    operation: Option<String>,
    /// Only entries of this person, program (subject of the token) or process
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only entries of this client (client_id of the token)
    #[arg(long, value_name = "CLIENT")]
    client_id: Option<String>,
    /// Only entries with this action, such as createTenant or organizations:CreateAccount
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only entries with this request id, of the API or of AWS
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only entries after this position
    #[arg(long, value_name = "POSITION")]
    after: Option<i64>,
    /// Maximum number of entries [default: 100]; not with --output ndjson, which exports all
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: Option<u64>,
    #[command(flatten)]
    client: ClientArgs<ListFormat>,
}

impl ListArgs {
    /// Returns the filters of the request. Resolves the reference to a tenant.
    async fn query(&self, api: &ApiClient) -> anyhow::Result<Vec<(&'static str, Option<String>)>> {
        Ok(vec![
            ("from", self.from.map(format_time)),
            ("until", self.until.map(format_time)),
            ("tenant", TenantReference::resolve_filter(self.tenant.as_ref(), api).await?),
            ("environment", self.environment.clone()),
            ("aws_account_id", self.account.clone()),
            ("operation", self.operation.clone()),
            ("actor", self.actor.clone()),
            ("client", self.client_id.clone()),
            ("action", self.action.clone()),
            ("request_id", self.request.clone()),
        ])
    }
}

pub(super) async fn run(args: ListArgs) -> anyhow::Result<Exit> {
    if args.client.output == ListFormat::Ndjson {
        return export(args).await;
    }
    let api = args.client.api_client()?;
    let limit = args.limit.unwrap_or(100);
    let query = args.query(&api).await?;
    let has_start = args.after.is_some() || query.iter().any(|(_, value)| value.is_some());
    let mut after = match args.after {
        Some(after) => after,
        None if has_start => 0,
        None => {
            let first: AuditEventPage = api.get(PATH, &[("page_size", Some("1".to_owned()))]).await?;
            first.head.position.saturating_sub_unsigned(limit).max(0)
        }
    };
    let mut events: Vec<AuditEvent> = Vec::new();
    let has_more = loop {
        let missing = limit - events.len() as u64;
        let mut query = query.clone();
        query.push(("after", Some(after.to_string())));
        query.push(("page_size", Some(missing.min(MAX_PAGE_SIZE).to_string())));
        let page: AuditEventPage = api.get(PATH, &query).await?;
        events.extend(page.audit_events);
        after = page.next_after;
        if !page.has_more || events.len() as u64 >= limit {
            break page.has_more;
        }
    };
    if args.client.output == ListFormat::Json {
        output::print_json(&events)?;
    } else {
        print_events(&events)?;
    }
    if has_more {
        output::print_note(format!("more entries follow; continue with --after {after}, or raise --limit"));
    }
    Ok(Exit::Success)
}

async fn export(args: ListArgs) -> anyhow::Result<Exit> {
    if args.limit.is_some() {
        return Err(Exit::Usage.error("--limit is not supported with --output ndjson; use --from and --until"));
    }
    let api = args.client.api_client()?;
    let mut query = args.query(&api).await?;
    query.push(("after", args.after.map(|after| after.to_string())));
    let response = api.open_export(PATH, &query, "application/x-ndjson").await?;
    if let Err(interrupted) = export::copy_to_stdout(response).await? {
        let last: Value = serde_json::from_str(&interrupted.last_line).unwrap_or_default();
        let hint = match last["position"].as_i64().or(args.after) {
            Some(position) => format!("continue with --after {position}"),
            None => "run the command again".to_owned(),
        };
        return Err(interrupted.error(&hint));
    }
    Ok(Exit::Success)
}

fn print_events(events: &[AuditEvent]) -> anyhow::Result<()> {
    let mut table = output::new_table(["position", "time", "actor", "action", "about", "outcome"]);
    for event in events {
        table.add_row([
            event.position.to_string(),
            time_of(event),
            actor_of(&event.record["actor"]),
            text_of(event, "action"),
            subject_of(event),
            outcome_of(&event.record["outcome"]),
        ]);
    }
    Ok(output::print_table(&table)?)
}

fn time_of(event: &AuditEvent) -> String {
    let at = event.record["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
    at.unwrap_or(event.recorded_at).format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn text_of(event: &AuditEvent, field: &str) -> String {
    event.record.get(field).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn actor_of(actor: &Value) -> String {
    match (actor["subject"].as_str(), actor["client"].as_str()) {
        (Some(subject), Some(client)) if client != subject => format!("{subject} ({client})"),
        (Some(subject), _) => subject.to_owned(),
        (None, _) => actor["process"].as_str().unwrap_or("-").to_owned(),
    }
}

/// Returns the subject of the action: the path, or the operation with its step, and the ids that these do not contain.
fn subject_of(event: &AuditEvent) -> String {
    let text = |field: &str| event.record.get(field).and_then(Value::as_str);
    let mut about: Vec<String> = text("resource").into_iter().map(str::to_owned).collect();
    if let Some(operation) = text("operation_id").filter(|id| !about.iter().any(|one| one.contains(id))) {
        about.push(text("step").map_or_else(|| operation.to_owned(), |step| format!("{operation} {step}")));
    }
    let lists = [event.record.get("ids"), event.record.get("outcome").and_then(|outcome| outcome.get("ids"))];
    let listed = lists.into_iter().flatten().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    for id in text("tenant_id").into_iter().chain(listed) {
        if !about.iter().any(|one| one.contains(id)) {
            about.push(id.to_owned());
        }
    }
    if about.is_empty() { "-".to_owned() } else { about.join(" ") }
}

fn outcome_of(outcome: &Value) -> String {
    let status = outcome["status"].as_u64().map(|status| status.to_string());
    let words = [outcome["result"].as_str(), status.as_deref(), outcome["code"].as_str()];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(record: Value) -> AuditEvent {
        let Value::Object(record) = record else { panic!("not an object") };
        AuditEvent { position: 1, recorded_at: DateTime::UNIX_EPOCH, record, hash: String::new() }
    }

    #[test]
    fn each_id_of_an_entry_is_shown_once() {
        let call = event(json!({
            "at": "2026-11-01T09:30:00.000000Z", "actor": { "subject": "ann", "client": "portal" },
            "resource": "/v1/tenants/ten_1", "tenant_id": "ten_1", "ids": ["ten_1"],
            "outcome": { "result": "refused", "status": 409, "code": "legal_hold", "ids": ["op_1"] },
        }));
        assert_eq!(subject_of(&call), "/v1/tenants/ten_1 op_1");
        assert_eq!(time_of(&call), "2026-11-01 09:30:00 UTC");
        assert_eq!(actor_of(&call.record["actor"]), "ann (portal)");
        assert_eq!(outcome_of(&call.record["outcome"]), "refused 409 legal_hold");
        let work = event(json!({
            "actor": { "process": "worker-1" }, "operation_id": "op_1", "step": "verify", "tenant_id": "ten_1",
        }));
        assert_eq!(subject_of(&work), "op_1 verify ten_1");
        assert_eq!(actor_of(&work.record["actor"]), "worker-1");
        assert_eq!(subject_of(&event(json!({}))), "-");
    }
}
