//! What must hold between fields: each problem is a sentence that starts with the field.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, Quotas};
use crate::audit::Signer;

/// CreatePermissionSet, `Name`.
const LONGEST_PERMISSION_SET_NAME: usize = 32;

pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    residencies(config, &mut problems);
    access(config, &mut problems);
    organization(config, &mut problems);
    quotas(config, &mut problems);
    usual(config, &mut problems);
    audit(config, &mut problems);
    if config.tiers.is_empty() {
        problems.push("tiers: name at least one".to_owned());
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
        problems.push("residencies: declare at least one".to_owned());
    }
    let mut owner = BTreeMap::new();
    let mut names = BTreeSet::new();
    for residency in &config.residencies {
        let name = &residency.name;
        if !names.insert(name.clone()) {
            problems.push(format!("residencies.{name}: declared twice"));
        }
        if residency.regions.is_empty() {
            problems.push(format!("residencies.{name}.regions: name at least one region"));
        }
        for region in &residency.regions {
            if let Some(other) = owner.insert(*region, name) {
                problems.push(format!("residencies.{name}.regions: {region} is already in `{other}`"));
            }
        }
    }
}

fn access(config: &Config, problems: &mut Vec<String>) {
    let declared = |name: &str| config.permission_sets.iter().any(|set| set.name == name);
    for set in &config.permission_sets {
        if set.name.is_empty() || set.name.len() > LONGEST_PERMISSION_SET_NAME {
            problems.push(format!(
                "permission_sets.{}: a name has 1 to {LONGEST_PERMISSION_SET_NAME} characters",
                set.name
            ));
        }
        if let Some(policy) = &set.inline_policy
            && let Err(error) = serde_json::from_str::<serde_json::Value>(policy)
        {
            problems.push(format!("permission_sets.{}.inline_policy: not JSON: {error}", set.name));
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
        problems.push(format!("organization.control_role_arn: wants a role in the management account, {prefix}…"));
    }
    if organization.management_account_id == organization.freehold_account_id {
        problems.push(
            "organization.freehold_account_id: Freehold runs in an account of its own, not in the management account"
                .to_owned(),
        );
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
            problems.push(format!("quotas.{name}: at least 1"));
        }
    }
    if quotas.throttle_recovery_seconds == 0 {
        problems.push("quotas.throttle_recovery_seconds: at least 1".to_owned());
    }
    for (api, rate) in &quotas.rates {
        if !Quotas::knows(api) {
            problems.push(format!("quotas.rates.{api}: there is no such rate; they are called as in `organizations:CreateAccount` or `sts`"));
        }
        let positive = rate.per_second.is_finite() && rate.per_second > 0.0 && rate.burst > 0;
        if !positive {
            problems.push(format!("quotas.rates.{api}: per_second and burst must be above zero"));
        }
    }
}

fn usual(config: &Config, problems: &mut Vec<String>) {
    let usual = &config.expected_durations;
    for (name, value) in [
        ("account_creation_seconds", usual.account_creation_seconds),
        ("account_usable_seconds", usual.account_usable_seconds),
        ("baseline_stack_seconds", usual.baseline_stack_seconds),
        ("tenant_stack_seconds", usual.tenant_stack_seconds),
        ("assignment_seconds", usual.assignment_seconds),
        ("region_opt_in_seconds", usual.region_opt_in_seconds),
        ("account_closure_seconds", usual.account_closure_seconds),
        ("propagation_seconds", usual.propagation_seconds),
    ] {
        if value == 0 {
            problems.push(format!("expected_durations.{name}: at least 1"));
        }
    }
}
