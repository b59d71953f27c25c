//! Validation of `[organization]`, `[[residencies]]` and `[identity_center]`.

use std::collections::BTreeMap;

use super::Problems;
use crate::AwsAccountId;
use crate::aws::constraints::{
    ACCOUNT_ROLE_NAME, EXTERNAL_ID, GROUP_NAME, IDENTITY_STORE_ID, INSTANCE_ARN, OU_NAME, OU_PARENT_ID, ROLE_ARN,
};
use crate::config::Config;
use crate::region::other_partition_refusal;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    organization(config, problems);
    residencies(config, problems);
    let identity_center = &config.identity_center;
    if let Some(arn) = &identity_center.instance_arn {
        if let Some(refusal) = other_partition(arn) {
            problems.add("identity_center.instance_arn", refusal);
        }
        problems.check("identity_center.instance_arn", &INSTANCE_ARN, arn);
    }
    if let Some(id) = &identity_center.identity_store_id {
        problems.check("identity_center.identity_store_id", &IDENTITY_STORE_ID, id);
    }
}

fn organization(config: &Config, problems: &mut Problems) {
    let organization = &config.organization;
    role("organization.control_role_arn", &organization.control_role_arn, "freehold-control", config, problems);
    if let Some(arn) = &organization.people_role_arn {
        role("organization.people_role_arn", arn, "freehold-people", config, problems);
        if *arn == organization.control_role_arn {
            problems.add("organization.people_role_arn", "must differ from control_role_arn");
        }
    }
    for name in &organization.protected_groups {
        problems.check("organization.protected_groups", &GROUP_NAME, name);
    }
    if let Some(external_id) = &organization.control_role_external_id {
        problems.check("organization.control_role_external_id", &EXTERNAL_ID, external_id);
    }
    if organization.management_account_id == organization.freehold_account_id {
        problems.add("organization.freehold_account_id", "must differ from management_account_id");
    }
    if organization.access_role_name.is_empty() {
        problems.add("organization.access_role_name", "must not be empty");
    }
    problems.check("organization.access_role_name", &ACCOUNT_ROLE_NAME, &organization.access_role_name);
    if let Some(parent) = &organization.parent_ou {
        problems.check("organization.parent_ou", &OU_PARENT_ID, parent);
    }
    problems.check("organization.quarantine_ou", &OU_NAME, &organization.quarantine_ou);
}

/// Checks the ARN of a role in the management account. `example` is the usual name of the role.
fn role(field: &str, arn: &str, example: &str, config: &Config, problems: &mut Problems) {
    let prefix = format!("arn:aws:iam::{}:role/", config.organization.management_account_id);
    // The name of the role may have a path.
    match arn.strip_prefix(&prefix).map(|name| name.rsplit('/').next().unwrap_or(name)) {
        None => problems.add(
            field,
            if let Some(refusal) = other_partition(arn) {
                refusal
            } else if is_role(arn) {
                format!("must be a role in the management account, {prefix}…")
            } else {
                // Without the account id, because the configuration may lack it.
                format!(
                    "must be the ARN of a role in the management account, such as \
                     arn:aws:iam::111122223333:role/{example}"
                )
            },
        ),
        Some(name) if name.is_empty() || ACCOUNT_ROLE_NAME.violation(name).is_some() => {
            problems.add(field, format_args!("must end with the name of a role, {prefix}…"));
        }
        Some(_) => problems.check(field, &ROLE_ARN, arn),
    }
}

/// Returns whether a text has the form of the ARN of a role, in any account.
fn is_role(arn: &str) -> bool {
    let role = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
    role.is_some_and(|(account, _)| account.parse::<AwsAccountId>().is_ok())
}

/// Returns the refusal of an ARN of another partition than `aws`, or `None` for any other text.
fn other_partition(arn: &str) -> Option<String> {
    other_partition_refusal(arn.strip_prefix("arn:")?.split(':').next()?)
}

fn residencies(config: &Config, problems: &mut Problems) {
    if config.residencies.is_empty() {
        problems.add("residencies", "must contain at least one residency");
    }
    problems.check_unique("residencies", config.residencies.iter().map(|residency| residency.name.clone()));
    let mut owner = BTreeMap::new();
    for residency in &config.residencies {
        let name = &residency.name;
        if residency.ou_name() == config.organization.quarantine_ou {
            problems.add(
                format_args!("residencies.{name}"),
                format_args!("must have another name, because its OU {} is the quarantine OU", residency.ou_name()),
            );
        }
        if residency.regions.is_empty() {
            problems.add(format_args!("residencies.{name}.regions"), "must contain at least one region");
        }
        for region in &residency.regions {
            if let Some(other) = owner.insert(*region, name) {
                problems.add(
                    format_args!("residencies.{name}.regions"),
                    format_args!("{region} must be listed only once, and is already a region of `{other}`"),
                );
            }
        }
    }
}
