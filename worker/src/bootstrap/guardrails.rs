//! Plans changes of OUs, their policies and trusted access.

use std::collections::BTreeSet;

use freehold_tenancy::Config;

use super::{Action, BootstrapError, Plan, retry_while_busy};
use crate::aws::Aws;
use crate::guardrail;

/// Service that lets the management account manage regions and contacts of member accounts.
const ACCOUNT_MANAGEMENT: &str = "account.amazonaws.com";

/// Service that lets Identity Center create roles in member accounts.
const IDENTITY_CENTER: &str = "sso.amazonaws.com";

/// Required OU with its policy.
struct RequiredOu {
    ou: String,
    policy: String,
    description: String,
    content: String,
}

pub(super) async fn plan(aws: &Aws, config: &Config, plan: &mut Plan) -> Result<(), BootstrapError> {
    let wanted = wanted(config)?;
    let clock = aws.clock();
    let root = retry_while_busy(clock, || aws.root_facts()).await?;
    if !root.scps_enabled {
        plan.actions.push(Action::EnableScps { root: root.id });
    }

    let parent = retry_while_busy(clock, || aws.parent_of_ous()).await?;
    plan.known.ous = retry_while_busy(clock, || aws.ous(&parent)).await?;
    for RequiredOu { ou, .. } in &wanted {
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
            plan.actions.push(Action::EnableTrustedAccess { service: service.to_owned() });
        }
    }
    Ok(())
}

fn wanted(config: &Config) -> Result<Vec<RequiredOu>, BootstrapError> {
    let organization = &config.organization;
    let mut wanted = Vec::new();
    for residency in &config.residencies {
        wanted.push(RequiredOu {
            ou: residency.ou_name(),
            policy: residency.guardrail_name(),
            description: format!(
                "Freehold: the regions of residency {}. Managed by `freehold bootstrap`.",
                residency.name
            ),
            content: guardrail::residency_guardrail(residency, organization)?,
        });
    }
    wanted.push(RequiredOu {
        ou: organization.quarantine_ou.clone(),
        policy: guardrail::QUARANTINE_POLICY.to_owned(),
        description: "Freehold: suspended accounts. Managed by `freehold bootstrap`.".to_owned(),
        content: guardrail::quarantine_policy(organization)?,
    });
    Ok(wanted)
}

async fn plan_policy(aws: &Aws, wanted: RequiredOu, plan: &mut Plan) -> Result<(), BootstrapError> {
    let RequiredOu { ou, policy: name, description, content } = wanted;
    let clock = aws.clock();
    let id = plan.known.policies.get(&name);
    match id {
        None => plan.actions.push(Action::CreatePolicy { name: name.clone(), description, content }),
        Some(id) => {
            let current = retry_while_busy(clock, || aws.policy_content(id)).await?;
            if !guardrail::is_same_json(&current, &content) {
                plan.actions.push(Action::UpdatePolicy { name: name.clone(), content });
            }
        }
    }
    let attached = match plan.known.ous.get(&ou) {
        Some(ou_id) => retry_while_busy(clock, || aws.policy_ids_on(ou_id)).await?,
        None => BTreeSet::new(),
    };
    if !id.is_some_and(|id| attached.contains(id)) {
        plan.actions.push(Action::AttachPolicy { name, ou });
    }
    Ok(())
}
