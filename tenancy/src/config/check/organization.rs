//! Validation of `[organization]`, `[[residencies]]` and `[identity_center]`.

use std::collections::BTreeMap;

use super::Problems;
use crate::AwsAccountId;
use crate::aws::constraints::{
    ACCOUNT_ROLE_NAME, EXTERNAL_ID, IDENTITY_STORE_ID, INSTANCE_ARN, OU_NAME, OU_PARENT_ID, ROLE_ARN,
};
use crate::config::Config;

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
    let prefix = format!("arn:aws:iam::{}:role/", organization.management_account_id);
    // The name of the role may have a path.
    match organization.control_role_arn.strip_prefix(&prefix).map(|name| name.rsplit('/').next().unwrap_or(name)) {
        None => problems.add(
            "organization.control_role_arn",
            if let Some(refusal) = other_partition(&organization.control_role_arn) {
                refusal
            } else if is_role(&organization.control_role_arn) {
                format!("must be a role in the management account, {prefix}…")
            } else {
                // Without the account id, because the configuration may lack it.
                "must be the ARN of a role in the management account, such as \
                 arn:aws:iam::111122223333:role/freehold-control"
                    .to_owned()
            },
        ),
        Some(name) if name.is_empty() || ACCOUNT_ROLE_NAME.violation(name).is_some() => {
            problems.add("organization.control_role_arn", format_args!("must end with the name of a role, {prefix}…"));
        }
        Some(_) => problems.check("organization.control_role_arn", &ROLE_ARN, &organization.control_role_arn),
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

/// Returns whether a text has the form of the ARN of a role, in any account.
fn is_role(arn: &str) -> bool {
    let role = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
    role.is_some_and(|(account, _)| account.parse::<AwsAccountId>().is_ok())
}

/// Returns the refusal of an ARN of another partition than `aws`, or `None` for any other text.
fn other_partition(arn: &str) -> Option<String> {
    let partition = arn.strip_prefix("arn:")?.split(':').next()?;
    let name = match partition {
        "aws-us-gov" => "AWS GovCloud (US)",
        "aws-cn" => "AWS in China",
        other if other.starts_with("aws-") => "a partition of its own",
        _ => return None,
    };
    Some(format!("must be in the partition aws; {partition} ({name}) is not supported"))
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
