//! What the demo ends with: each environment as the API and the simulated AWS know it.

use freehold_api::schema::{Environment, Operation, Tenant};
use serde_json::Value;

use super::super::SimulatedAws;
use crate::client::{Api, in_path};
use crate::output;
use crate::progress::clock;
use crate::tenants;

/// What is told of each environment.
const FACTS: [&str; 9] = [
    "tenant",
    "environment",
    "home region",
    "AWS account",
    "in the OU",
    "guardrail denied",
    "access granted",
    "stack answered",
    "ready after",
];

/// Shows the tenants, a column for each environment, and answers whether all of them are ready.
pub(super) async fn show(api: &Api, aws: &SimulatedAws, signed_up: &[Tenant]) -> anyhow::Result<bool> {
    let accounts = aws.world().accounts();
    let mut rows = FACTS.map(|name| vec![name.to_owned()]);
    let (mut answers, mut wrong) = (Vec::new(), Vec::new());
    for tenant in signed_up {
        let tenant = tenants::get(api, &tenant.id).await?;
        for environment in &tenant.environments {
            let path = format!("/v1/operations/{}", in_path(&environment.operation_id));
            let operation: Operation = api.get(&path, &[]).await?;
            let account = environment.aws_account_id.as_deref().unwrap_or("-");
            let ou = accounts.iter().find(|one| one.id == account).map_or("-", |one| one.parent_name.as_str());
            let url = fact(&operation, "verify", "answered_at");
            let took = environment.ready_at.map(|ready| clock(ready - environment.created_at));
            let column: [&str; FACTS.len()] = [
                &tenant.company_name,
                &environment.name,
                &environment.home_region,
                account,
                ou,
                fact(&operation, "verify", "denied_in").unwrap_or("-"),
                &granted(&operation),
                if url.is_some() { "yes" } else { "no" },
                took.as_deref().unwrap_or("-").trim(),
            ];
            for (row, cell) in rows.iter_mut().zip(column) {
                row.push(cell.to_owned());
            }
            answers.extend(url.map(|url| format!("  {url}")));
            if environment.state != "ready" {
                wrong.push(complaint(&tenant, environment, &operation));
            }
        }
    }
    let [headings, rows @ ..] = rows;
    output::line("")?;
    output::show(output::table(headings).add_rows(rows))?;
    output::line("\nThe stacks answered requests signed as freehold-verify at\n")?;
    for answer in answers {
        output::line(answer)?;
    }
    for complaint in &wrong {
        output::note(format!("error: {complaint}"));
    }
    Ok(wrong.is_empty())
}

fn facts<'a>(operation: &'a Operation, step: &str, name: &str) -> Option<&'a Value> {
    operation.steps.iter().flatten().find(|one| one.name == step)?.facts.get(name)
}

fn fact<'a>(operation: &'a Operation, step: &str, name: &str) -> Option<&'a str> {
    facts(operation, step, name)?.as_str()
}

/// The permission sets that were granted. The journal names a grant by its permission set, then to whom it is.
fn granted(operation: &Operation) -> String {
    let grants = facts(operation, "grant-access", "grants").and_then(Value::as_object);
    let done = grants.into_iter().flatten().filter(|(_, grant)| grant["done"] == true);
    let names: Vec<&str> = done.filter_map(|(name, _)| name.split(" to ").next()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join("\n") }
}

fn complaint(tenant: &Tenant, environment: &Environment, operation: &Operation) -> String {
    let why = match &operation.attention {
        Some(attention) => format!("{} ({})", attention.message, attention.code),
        None => format!("its operation {} is {}", operation.id, operation.state),
    };
    format!("{} ({}) is not ready: {why}", tenant.company_name, environment.name)
}
