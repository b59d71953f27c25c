//! Tenants as tables.

use freehold_api::schema::{Operation, Queue, SignupPreview, Tenant};

use crate::client::{Api, in_path};
use crate::format_queue;
use crate::output::{self, Format};

/// One tenant with its environments, and where those stand that wait in line.
pub(super) fn show(tenant: &Tenant, queues: &[(String, Queue)], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(tenant);
    }
    let labels = tenant.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ");
    let facts = [
        ("tenant", tenant.id.as_str()),
        ("company", &tenant.company_name),
        ("state", &tenant.state),
        ("tier", &tenant.tier),
        ("admin", tenant.admin_email.as_deref().unwrap_or("-")),
        ("external id", tenant.external_id.as_deref().unwrap_or("-")),
        ("legal hold", tenant.legal_hold.as_deref().unwrap_or("-")),
        ("labels", if labels.is_empty() { "-" } else { &labels }),
    ];
    for (name, value) in facts {
        output::line(format!("{name:12} {value}"))?;
    }
    let mut table = output::table(["environment", "state", "residency", "home region", "AWS account", "operation"]);
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
    output::show(&table)?;
    for (environment, queue) in queues {
        output::line(format!("{:12} {environment} is {}", "in line", format_queue::told(queue)))?;
    }
    Ok(())
}

/// Where each environment stands that waits in line.
pub(super) async fn queues(api: &Api, tenant: &Tenant) -> anyhow::Result<Vec<(String, Queue)>> {
    let mut queues = Vec::new();
    for environment in tenant.environments.iter().filter(|environment| environment.state == "onboarding") {
        let operation: Operation =
            api.get(&format!("/v1/operations/{}", in_path(&environment.operation_id)), &[]).await?;
        queues.extend(operation.queue.map(|queue| (environment.name.clone(), queue)));
    }
    Ok(queues)
}

/// Several tenants, a line for each environment.
pub(super) fn list(tenants: &[Tenant]) -> anyhow::Result<()> {
    let mut table = output::table(["tenant", "company", "tier", "environment", "state", "home region", "AWS account"]);
    for tenant in tenants {
        for environment in &tenant.environments {
            table.add_row([
                tenant.id.as_str(),
                &tenant.company_name,
                &tenant.tier,
                &environment.name,
                &environment.state,
                &environment.home_region,
                environment.aws_account_id.as_deref().unwrap_or("-"),
            ]);
        }
    }
    Ok(output::show(&table)?)
}

/// What a signup would come to.
pub(super) fn preview(preview: &SignupPreview, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(preview);
    }
    for (name, value) in [
        ("accepted", if preview.accepted { "yes" } else { "no" }),
        ("tier", &preview.tier),
        ("residency", &preview.residency),
        ("home region", &preview.home_region),
        ("OU", &preview.organizational_unit),
        ("guardrail", &preview.guardrail),
        ("stack", &preview.stack),
        ("template", preview.template.as_deref().unwrap_or("Freehold's own")),
    ] {
        output::line(format!("{name:12} {value}"))?;
    }
    if preview.approval_required {
        output::line("each account has to be approved by another person first")?;
    }
    for environment in &preview.environments {
        output::line(format!("{:12} {}", environment.name, format_queue::told(&environment.queue)))?;
    }
    for collision in &preview.collisions {
        output::note(format!("{}: {}", collision.field, collision.message));
    }
    Ok(())
}
