//! Summary of the demo, a table of all environments with data from the API and the simulated AWS.

use freehold_api::schema::{Environment, Operation, Tenant};
use serde_json::Value;

use super::super::SimulatedAws;
use crate::client::{ApiClient, encode_path_segment};
use crate::output;
use crate::progress::format_elapsed;
use crate::tenants;

const ROW_HEADINGS: [&str; 9] = [
    "tenant",
    "environment",
    "home region",
    "AWS account",
    "OU",
    "guardrail denied",
    "access granted",
    "stack responded",
    "ready after",
];

/// Prints a table with one column per environment. Returns whether all environments are ready.
pub(super) async fn print_summary(api: &ApiClient, aws: &SimulatedAws, tenants: &[Tenant]) -> anyhow::Result<bool> {
    let accounts = aws.world().accounts();
    let mut rows = ROW_HEADINGS.map(|name| vec![name.to_owned()]);
    let (mut responses, mut errors) = (Vec::new(), Vec::new());
    for tenant in tenants {
        let tenant = tenants::get_tenant(api, &tenant.id).await?;
        for environment in &tenant.environments {
            let path = format!("/v1/operations/{}", encode_path_segment(&environment.operation_id));
            let operation: Operation = api.get(&path, &[]).await?;
            let account = environment.aws_account_id.as_deref().unwrap_or("-");
            let ou = accounts.iter().find(|one| one.id == account).map_or("-", |one| one.parent_name.as_str());
            let target = string_fact(&operation, "verify", "answered_at");
            let ready_after = environment.ready_at.map(|ready| format_elapsed(ready - environment.created_at));
            let column: [&str; ROW_HEADINGS.len()] = [
                &tenant.company_name,
                &environment.name,
                &environment.home_region,
                account,
                ou,
                string_fact(&operation, "verify", "denied_in").unwrap_or("-"),
                &granted_permission_sets(&operation),
                if target.is_some() { "yes" } else { "no" },
                ready_after.as_deref().unwrap_or("-").trim(),
            ];
            for (row, cell) in rows.iter_mut().zip(column) {
                row.push(cell.to_owned());
            }
            responses.extend(target.map(|target| describe_response(target, &environment.home_region)));
            if environment.state != "ready" {
                errors.push(not_ready_message(&tenant, environment, &operation));
            }
        }
    }
    let [headings, rows @ ..] = rows;
    output::print_line("")?;
    let mut table = output::new_table(headings);
    for row in rows {
        table.add_row(row);
    }
    output::print_table(&table)?;
    output::print_line("\nThe stacks responded to requests signed with the role freehold-verify:\n")?;
    for response in responses {
        output::print_line(response)?;
    }
    for error in &errors {
        output::print_note(format!("error: {error}"));
    }
    Ok(errors.is_empty())
}

/// Describes the target of a check: the Function URL, or the function in a region without Function URLs.
fn describe_response(target: &str, region: &str) -> String {
    if target.contains("://") { format!("  {target}") } else { format!("  function {target} in {region}") }
}

fn fact<'a>(operation: &'a Operation, step: &str, name: &str) -> Option<&'a Value> {
    operation.steps.iter().flatten().find(|one| one.name == step)?.facts.get(name)
}

fn string_fact<'a>(operation: &'a Operation, step: &str, name: &str) -> Option<&'a str> {
    fact(operation, step, name)?.as_str()
}

/// Returns the names of the granted permission sets, one per line. The keys of the fact `grants` have the format
/// `PERMISSION SET to GROUP`.
fn granted_permission_sets(operation: &Operation) -> String {
    let grants = fact(operation, "grant-access", "grants").and_then(Value::as_object);
    let done = grants.into_iter().flatten().filter(|(_, grant)| grant["done"] == true);
    let names: Vec<&str> = done.filter_map(|(name, _)| name.split(" to ").next()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join("\n") }
}

fn not_ready_message(tenant: &Tenant, environment: &Environment, operation: &Operation) -> String {
    let reason = match &operation.attention {
        Some(attention) => format!("{} ({})", attention.message, attention.code),
        None => format!("operation {} is {}", operation.id, operation.state),
    };
    format!("environment {} of {} is not ready: {reason}", environment.name, tenant.company_name)
}
