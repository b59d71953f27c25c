//! Validation of the configuration. Each problem is a message that starts with the name of the field.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, Quotas};
use crate::audit::Signer;

/// Maximum length of `Name` in CreatePermissionSet.
const MAX_PERMISSION_SET_NAME_LENGTH: usize = 32;

pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    residencies(config, &mut problems);
    access(config, &mut problems);
    organization(config, &mut problems);
    quotas(config, &mut problems);
    expected_durations(config, &mut problems);
    audit(config, &mut problems);
    if config.tiers.is_empty() {
        problems.push("tiers: must contain at least one tier".to_owned());
    }
    problems
}

fn audit(config: &Config, problems: &mut Vec<String>) {
    if let Some(Err(error)) = config.audit.signing_key.as_ref().map(Signer::new) {
        problems.push(error.to_string());
    }
}

fn residencies(config: &Config, problems: &mut Vec<String>) {
    if config.residencies.is_empty() {
        problems.push("residencies: must contain at least one residency".to_owned());
    }
    let mut owner = BTreeMap::new();
    let mut names = BTreeSet::new();
    for residency in &config.residencies {
        let name = &residency.name;
        if !names.insert(name.clone()) {
            problems.push(format!("residencies.{name}: must be declared only once"));
        }
        if residency.regions.is_empty() {
            problems.push(format!("residencies.{name}.regions: must contain at least one region"));
        }
        for region in &residency.regions {
            if let Some(other) = owner.insert(*region, name) {
                problems.push(format!("residencies.{name}.regions: {region} is already a region of `{other}`"));
            }
        }
    }
}

fn access(config: &Config, problems: &mut Vec<String>) {
    let declared = |name: &str| config.permission_sets.iter().any(|set| set.name == name);
    for set in &config.permission_sets {
        if set.name.is_empty() || set.name.len() > MAX_PERMISSION_SET_NAME_LENGTH {
            problems.push(format!(
                "permission_sets.{}: the name must have 1 to {MAX_PERMISSION_SET_NAME_LENGTH} characters",
                set.name
            ));
        }
        if let Some(policy) = &set.inline_policy
            && let Err(error) = serde_json::from_str::<serde_json::Value>(policy)
        {
            problems.push(format!("permission_sets.{}.inline_policy: must be JSON: {error}", set.name));
        }
    }
    for access in &config.access {
        if !declared(&access.permission_set) {
            problems.push(format!(
                "access.{}: the permission set `{}` is not declared in permission_sets",
                access.group, access.permission_set
            ));
        }
    }
    for tier in &config.tiers {
        if let Some(set) = &tier.tenant_group_permission_set
            && !declared(set)
        {
            problems.push(format!(
                "tiers.{}.tenant_group_permission_set: `{set}` is not declared in permission_sets",
                tier.name
            ));
        }
    }
}

fn organization(config: &Config, problems: &mut Vec<String>) {
    let organization = &config.organization;
    let prefix = format!("arn:aws:iam::{}:role/", organization.management_account_id);
    if !organization.control_role_arn.starts_with(&prefix) {
        problems.push(format!("organization.control_role_arn: must be a role in the management account, {prefix}…"));
    }
    if organization.management_account_id == organization.freehold_account_id {
        problems.push("organization.freehold_account_id: must differ from management_account_id".to_owned());
    }
}

fn quotas(config: &Config, problems: &mut Vec<String>) {
    let quotas = &config.quotas;
    for (name, value) in [
        ("account_creations", quotas.account_creations),
        ("account_closures", quotas.account_closures),
        ("assignments", quotas.assignments),
        ("permission_set_provisionings", quotas.permission_set_provisionings),
        ("region_opt_ins", quotas.region_opt_ins),
        ("region_opt_ins_per_account", quotas.region_opt_ins_per_account),
    ] {
        if value == 0 {
            problems.push(format!("quotas.{name}: must be at least 1"));
        }
    }
    if quotas.throttle_recovery_seconds == 0 {
        problems.push("quotas.throttle_recovery_seconds: must be at least 1".to_owned());
    }
    for (api, rate) in &quotas.rates {
        if !Quotas::has_bucket(api) {
            problems.push(format!(
                "quotas.rates.{api}: must be an AWS call or service that Freehold uses, such as \
                 `organizations:CreateAccount` or `sts`"
            ));
        }
        let positive = rate.per_second.is_finite() && rate.per_second > 0.0 && rate.burst > 0;
        if !positive {
            problems.push(format!("quotas.rates.{api}: per_second and burst must be greater than 0"));
        }
    }
}

fn expected_durations(config: &Config, problems: &mut Vec<String>) {
    let durations = &config.expected_durations;
    for (name, value) in [
        ("account_creation_seconds", durations.account_creation_seconds),
        ("account_usable_seconds", durations.account_usable_seconds),
        ("baseline_stack_seconds", durations.baseline_stack_seconds),
        ("tenant_stack_seconds", durations.tenant_stack_seconds),
        ("assignment_seconds", durations.assignment_seconds),
        ("region_opt_in_seconds", durations.region_opt_in_seconds),
        ("account_closure_seconds", durations.account_closure_seconds),
        ("propagation_seconds", durations.propagation_seconds),
    ] {
        if value == 0 {
            problems.push(format!("expected_durations.{name}: must be at least 1"));
        }
    }
}
