//! Plans changes of OUs, their policies and trusted access.

use std::collections::BTreeSet;

use freehold_tenancy::Config;

use super::{Action, Plan, Problem, retry_while_busy};
use crate::aws::Aws;
use crate::guardrail;

/// Service that lets the management account manage regions and contacts of member accounts.
const ACCOUNT_MANAGEMENT: &str = "account.amazonaws.com";

/// Service that lets Identity Center create roles in member accounts.
const IDENTITY_CENTER: &str = "sso.amazonaws.com";

/// Required OU with its policy.
struct Wanted {
    ou: String,
    policy: String,
    description: String,
    content: String,
}

pub(super) async fn plan(aws: &Aws, config: &Config, plan: &mut Plan) -> Result<(), Problem> {
    let wanted = wanted(config)?;
    let clock = aws.clock();
    let root = retry_while_busy(clock, || aws.root_facts()).await?;
    if !root.scps_enabled {
        plan.actions.push(Action::EnableScps { root: root.id });
    }

    let parent = retry_while_busy(clock, || aws.parent_of_ous()).await?;
    plan.known.ous = retry_while_busy(clock, || aws.ous(&parent)).await?;
    for Wanted { ou, .. } in &wanted {
        if !plan.known.ous.contains_key(ou) {
            plan.actions.push(Action::CreateOu { name: ou.clone(), parent: parent.clone() });
        }
    }

    plan.known.policies = retry_while_busy(clock, || aws.policies()).await?;
    for wanted in wanted {
        plan_policy(aws, wanted, plan).await?;
    }

    let trusted = retry_while_busy(clock, || aws.trusted_services()).await?;
    let uses_access = !config.permission_sets.is_empty();
    for (service, needed) in [(ACCOUNT_MANAGEMENT, true), (IDENTITY_CENTER, uses_access)] {
        if needed && !trusted.contains(service) {
            plan.actions.push(Action::TrustService { service: service.to_owned() });
        }
    }
    Ok(())
}

fn wanted(config: &Config) -> Result<Vec<Wanted>, Problem> {
    let organization = &config.organization;
    let mut wanted = Vec::new();
    for residency in &config.residencies {
        wanted.push(Wanted {
            ou: residency.ou_name(),
            policy: residency.guardrail_name(),
            description: format!(
                "Freehold: the regions of residency {}. Managed by `freehold bootstrap`.",
                residency.name
            ),
            content: guardrail::of_residency(residency, organization)?,
        });
    }
    wanted.push(Wanted {
        ou: organization.quarantine_ou.clone(),
        policy: guardrail::QUARANTINE_POLICY.to_owned(),
        description: "Freehold: suspended accounts. Managed by `freehold bootstrap`.".to_owned(),
        content: guardrail::of_quarantine(organization)?,
    });
    Ok(wanted)
}

async fn plan_policy(aws: &Aws, wanted: Wanted, plan: &mut Plan) -> Result<(), Problem> {
    let Wanted { ou, policy: name, description, content } = wanted;
    let clock = aws.clock();
    let id = plan.known.policies.get(&name);
    match id {
        None => plan.actions.push(Action::CreatePolicy { name: name.clone(), description, content }),
        Some(id) => {
            let current = retry_while_busy(clock, || aws.policy_content(id)).await?;
            if !guardrail::same(&current, &content) {
                plan.actions.push(Action::UpdatePolicy { name: name.clone(), content });
            }
        }
    }
    let attached = match plan.known.ous.get(&ou) {
        Some(ou_id) => retry_while_busy(clock, || aws.policies_on(ou_id)).await?,
        None => BTreeSet::new(),
    };
    if !id.is_some_and(|id| attached.contains(id)) {
        plan.actions.push(Action::AttachPolicy { name, ou });
    }
    Ok(())
}
