//! Tenants as tables.

use freehold_api::schema::Tenant;

use crate::output::{self, Format};

/// One tenant with its environments.
pub(super) fn show(tenant: &Tenant, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(tenant);
    }
    let labels = tenant.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ");
    let facts = [
        ("tenant", tenant.id.as_str()),
        ("company", &tenant.company_name),
        ("state", &tenant.state),
        ("tier", &tenant.tier),
        ("admin", &tenant.admin_email),
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
    Ok(output::show(&table)?)
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
