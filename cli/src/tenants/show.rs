//! Output of tenants and of signup previews.

use chrono::{DateTime, Utc};
use freehold_api::schema::{Collision, Environment, NewEnvironmentPreview, Operation, Queue, SignupPreview, Tenant};

use crate::client::{ApiClient, encode_path_segment};
use crate::format_queue::format_queue;
use crate::output::{self, Format, TextTable};

/// Prints a tenant. `queues` contains the names and queue positions of queued environments.
pub(super) fn print_tenant(tenant: &Tenant, queues: &[(String, Queue)], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print_json(tenant);
    }
    let labels = tenant.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ");
    let fields = [
        ("tenant", tenant.id.as_str()),
        ("company", &tenant.company_name),
        ("state", &tenant.state),
        ("tier", &tenant.tier),
        ("admin", tenant.admin_email.as_deref().unwrap_or("-")),
        ("external id", tenant.external_id.as_deref().unwrap_or("-")),
        ("legal hold", tenant.legal_hold.as_deref().unwrap_or("-")),
        ("labels", if labels.is_empty() { "-" } else { &labels }),
    ];
    for (name, value) in fields {
        output::print_field(name, value)?;
    }
    for window in &tenant.maintenance_windows {
        let days = window.days.join(",");
        let text = format!("{days} {} for {} minutes, {}", window.start, window.minutes, window.time_zone);
        output::print_field("updates", text)?;
    }
    if let Some(suspension) = &tenant.suspension {
        let since = suspension.since.format("%Y-%m-%d %H:%M:%S");
        let note = suspension.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        output::print_field("suspended", format!("since {since} UTC, {}{note}", suspension.reason))?;
    }
    let mut table = output::new_table(["environment", "state", "residency", "home region", "AWS account", "operation"]);
    for environment in &tenant.environments {
        table.add_row([
            environment.name.as_str(),
            &environment.state,
            &environment.residency,
            &environment.home_region,
            environment.aws_account_id.as_deref().unwrap_or("-"),
            &environment.operation_id,
        ]);
    }
    output::print_table(&table)?;
    print_pins(&tenant.environments)?;
    print_regions(&tenant.environments)?;
    print_findings(tenant)?;
    for (environment, queue) in queues {
        output::print_field("queue position", format!("{environment}: {}", format_queue(queue)))?;
    }
    Ok(())
}

/// Prints a line for each pinned environment.
pub(super) fn print_pins(environments: &[Environment]) -> anyhow::Result<()> {
    for environment in environments {
        let Some(pin) = &environment.pin else { continue };
        let end = |until: &DateTime<Utc>| format!(" until {} UTC", until.format("%Y-%m-%d %H:%M:%S"));
        let until = pin.until.as_ref().map_or_else(String::new, end);
        output::print_field("pinned", format!("{}{until}, by {}: {}", environment.name, pin.pinned_by, pin.reason))?;
    }
    Ok(())
}

/// Prints the tables of the regions and front doors of environments, or nothing if all environments are offboarded.
pub(super) fn print_regions(environments: &[Environment]) -> anyhow::Result<()> {
    let mut table = output::new_table(["environment", "region", "role", "state", "since", "URL", "message"]);
    for environment in environments {
        for region in &environment.regions {
            table.add_row([
                environment.name.as_str(),
                &region.region,
                &region.role,
                &region.state,
                &region.since.format("%Y-%m-%d %H:%M").to_string(),
                region.url.as_deref().unwrap_or("-"),
                region.message.as_deref().unwrap_or("-"),
            ]);
        }
    }
    if !table.is_empty() {
        output::print_line("")?;
        output::print_table(&table)?;
    }
    print_front_doors(environments)
}

/// Prints a table of the front doors of environments, or nothing if there is none.
fn print_front_doors(environments: &[Environment]) -> anyhow::Result<()> {
    let mut table = output::new_table(["environment", "front door", "state", "since", "failover region", "message"]);
    for environment in environments {
        let front_door = &environment.front_door;
        let Some(since) = front_door.since else { continue };
        table.add_row([
            environment.name.as_str(),
            front_door.domain.as_deref().unwrap_or("-"),
            &front_door.state,
            &since.format("%Y-%m-%d %H:%M").to_string(),
            front_door.failover_region.as_deref().unwrap_or("-"),
            front_door.message.as_deref().unwrap_or("-"),
        ]);
    }
    if !table.is_empty() {
        output::print_line("")?;
        output::print_table(&table)?;
    }
    Ok(())
}

/// Prints a table of the open findings of a tenant, or nothing if it has none.
fn print_findings(tenant: &Tenant) -> anyhow::Result<()> {
    let mut table = output::new_table(["environment", "severity", "finding", "since", "remedy", "message"]);
    for environment in &tenant.environments {
        for finding in &environment.findings {
            table.add_row([
                environment.name.as_str(),
                &finding.severity,
                &finding.kind,
                &finding.first_seen_at.format("%Y-%m-%d %H:%M").to_string(),
                finding.operation_id.as_deref().unwrap_or(&finding.remedy),
                &finding.message,
            ]);
        }
    }
    if !table.is_empty() {
        output::print_line("")?;
        output::print_table(&table)?;
    }
    Ok(())
}

/// Returns name and queue position of each queued environment.
pub(super) async fn queue_positions(api: &ApiClient, tenant: &Tenant) -> anyhow::Result<Vec<(String, Queue)>> {
    let mut queues = Vec::new();
    for environment in tenant.environments.iter().filter(|environment| environment.state == "onboarding") {
        let operation: Operation =
            api.get(&format!("/v1/operations/{}", encode_path_segment(&environment.operation_id)), &[]).await?;
        queues.extend(operation.queue.map(|queue| (environment.name.clone(), queue)));
    }
    Ok(queues)
}

/// Returns a table with one row per environment.
pub(super) fn tenant_table(tenants: &[Tenant]) -> TextTable {
    let mut table = output::new_table([
        "tenant",
        "company",
        "tier",
        "environment",
        "state",
        "findings",
        "home region",
        "AWS account",
    ]);
    for tenant in tenants {
        for environment in &tenant.environments {
            table.add_row([
                tenant.id.as_str(),
                &tenant.company_name,
                &tenant.tier,
                &environment.name,
                &environment.state,
                &count_findings(environment),
                &environment.home_region,
                environment.aws_account_id.as_deref().unwrap_or("-"),
            ]);
        }
    }
    table
}

/// Returns the number of open findings, with the kind of the most severe one.
fn count_findings(environment: &Environment) -> String {
    match &environment.findings[..] {
        [] => "-".to_owned(),
        [only] => only.kind.clone(),
        [first, more @ ..] => format!("{} and {} more", first.kind, more.len()),
    }
}

pub(super) fn print_preview(preview: &SignupPreview, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print_json(preview);
    }
    for (name, value) in [
        ("accepted", if preview.accepted { "yes" } else { "no" }),
        ("tier", &preview.tier),
        ("residency", &preview.residency),
        ("home region", &preview.home_region),
        ("replica regions", &format_regions(&preview.replica_regions)),
        ("front door", if preview.front_door { "yes" } else { "no" }),
        ("OU", &preview.organizational_unit),
        ("guardrail", &preview.guardrail),
        ("stack", &preview.stack),
        ("template", preview.template.as_deref().unwrap_or("built-in")),
        ("approval", if preview.approval_required { "required for each AWS account" } else { "not required" }),
    ] {
        output::print_field(name, value)?;
    }
    for environment in &preview.environments {
        print_environment_queue(&environment.name, environment.queue.as_ref())?;
    }
    print_collisions(&preview.collisions);
    Ok(())
}

pub(super) fn print_environment_preview(preview: &NewEnvironmentPreview, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print_json(preview);
    }
    for (name, value) in [
        ("accepted", if preview.accepted { "yes" } else { "no" }),
        ("tier", &preview.tier),
        ("residency", &preview.residency),
        ("home region", &preview.home_region),
        ("replica regions", &format_regions(&preview.replica_regions)),
        ("front door", if preview.front_door { "yes" } else { "no" }),
        ("OU", &preview.organizational_unit),
        ("guardrail", &preview.guardrail),
        ("stack", &preview.stack),
        ("template", preview.template.as_deref().unwrap_or(if preview.stack.is_empty() { "" } else { "built-in" })),
        ("approval", if preview.approval_required { "required for the AWS account" } else { "not required" }),
    ] {
        // A token of one tenant does not see the names of the OU, guardrail, stack and template.
        if !value.is_empty() {
            output::print_field(name, value)?;
        }
    }
    print_environment_queue(&preview.name, preview.queue.as_ref())?;
    if let Some(until) = preview.accounts_exhausted_until {
        let until = until.format("%Y-%m-%d %H:%M:%S");
        output::print_note(format!("the daily limit of AWS accounts is reached until {until} UTC"));
    }
    print_collisions(&preview.collisions);
    Ok(())
}

/// Returns the regions, separated by commas, or a dash if there are none.
fn format_regions(regions: &[String]) -> String {
    if regions.is_empty() { "-".to_owned() } else { regions.join(", ") }
}

fn print_environment_queue(name: &str, queue: Option<&Queue>) -> anyhow::Result<()> {
    let queue = queue.map_or_else(
        || "no estimate while a fleet hold stops all work".to_owned(),
        |queue| format!("queue position {}", format_queue(queue)),
    );
    Ok(output::print_field("environment", format!("{name}: {queue}"))?)
}

fn print_collisions(collisions: &[Collision]) {
    for collision in collisions {
        output::print_note(format!("{}: {}", collision.field, collision.message));
    }
}
