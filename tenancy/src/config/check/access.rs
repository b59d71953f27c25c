//! Validation of `[[permission_sets]]`, `[[access]]` and `[[tiers]]`.

use super::{Problems, policy};
use crate::aws::constraints::{
    GROUP_NAME, MANAGED_POLICY_ARN, PERMISSION_SET_DESCRIPTION, PERMISSION_SET_NAME, SESSION_DURATION,
};
use crate::aws::quotas::ACCESS_SESSION_SECONDS;
use crate::config::{Config, PermissionSet};

pub(super) fn check(config: &Config, problems: &mut Problems) {
    problems.check_unique("permission_sets", config.permission_sets.iter().map(|set| &set.name));
    for set in &config.permission_sets {
        permission_set(set, problems);
    }
    problems.check_unique(
        "access",
        config.access.iter().map(|access| format!("{} (permission set {})", access.group, access.permission_set)),
    );
    let is_declared = |name: &str| config.permission_sets.iter().any(|set| set.name == name);
    for access in &config.access {
        let field = format!("access.{}", access.group);
        problems.check(&field, &GROUP_NAME, &access.group);
        if !is_declared(&access.permission_set) {
            problems.add(
                &field,
                format_args!(
                    "permission_set must be declared in permission_sets, which lack `{}`",
                    access.permission_set
                ),
            );
        }
    }
    if config.tiers.is_empty() {
        problems.add("tiers", "must contain at least one tier");
    }
    problems.check_unique("tiers", config.tiers.iter().map(|tier| tier.name.clone()));
    for tier in &config.tiers {
        if let Some(set) = &tier.tenant_group_permission_set
            && !is_declared(set)
        {
            problems.add(
                format_args!("tiers.{}.tenant_group_permission_set", tier.name),
                format_args!("must be declared in permission_sets, which lack `{set}`"),
            );
        }
    }
}

fn permission_set(set: &PermissionSet, problems: &mut Problems) {
    let field = format!("permission_sets.{}", set.name);
    problems.check(format_args!("{field}.name"), &PERMISSION_SET_NAME, &set.name);
    // An empty description is not sent.
    if !set.description.is_empty() {
        problems.check(format_args!("{field}.description"), &PERMISSION_SET_DESCRIPTION, &set.description);
    }
    let duration = &set.session_duration;
    let valid = SESSION_DURATION.violation(duration).is_none()
        && seconds_of_duration(duration).is_some_and(|seconds| ACCESS_SESSION_SECONDS.contains(&seconds));
    if !valid {
        problems.add(
            format_args!("{field}.session_duration"),
            format_args!("must be an ISO 8601 duration from PT1H to PT12H, such as PT4H, not `{duration}`"),
        );
    }
    problems.check_unique(&format!("{field}.managed_policies"), &set.managed_policies);
    for arn in &set.managed_policies {
        if let Some(violation) = MANAGED_POLICY_ARN.violation(arn) {
            problems.add(format_args!("{field}.managed_policies"), format_args!("`{arn}` {violation}"));
        }
    }
    if let Some(inline) = &set.inline_policy {
        for violation in policy::violations(inline) {
            problems.add(format_args!("{field}.inline_policy"), violation);
        }
    }
}

/// Returns the number of seconds of an ISO 8601 duration that consists of hours, minutes and seconds, such as
/// `PT1H30M`. Returns `None` for any other text.
fn seconds_of_duration(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix("PT")?;
    let mut seconds: u64 = 0;
    for (unit, length) in [('H', 3_600), ('M', 60), ('S', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(seconds)
}
