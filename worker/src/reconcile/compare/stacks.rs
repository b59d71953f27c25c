//! Compares Freehold's stacks in an account with the deployed stacks.

use freehold_tenancy::baseline::{BASELINE_TAG, BaselineVersion};
use freehold_tenancy::db::reconcile::{DeployedStack, MappedEnvironment};
use freehold_tenancy::environment_stack::{StackKind, StackSlot};
use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::finding::FindingRemedy::{Person, Repair};

use super::{CompareInput, Comparison, environment_label, releases};
use crate::cloud::{StackState, StackStatus};
use crate::reconcile::observe::ObservedStack;

pub(super) fn check(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    stacks: &[ObservedStack],
    comparison: &mut Comparison,
) {
    // The rows were read again after AWS: a stack that was deleted meanwhile is not compared.
    for deployed in &environment.stacks {
        let is_same =
            |one: &&ObservedStack| one.deployed.kind == deployed.kind && one.deployed.region == deployed.region;
        let Some(observed) = stacks.iter().find(is_same) else { continue };
        check_stack(input, environment, deployed, observed, comparison);
        if let (StackKind::Baseline, Some(found)) = (deployed.kind, &observed.state)
            && matches!(found.status, StackStatus::Complete | StackStatus::UpdateRolledBack)
        {
            check_baseline_version(input, environment, found, comparison);
        }
    }
}

fn check_baseline_version(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    found: &StackState,
    comparison: &mut Comparison,
) {
    let current = BaselineVersion::current(&input.config.access_role);
    let version = BaselineVersion::from_tag(found.tags.get(BASELINE_TAG).map(String::as_str));
    if !version.is_older_than(&current) {
        return;
    }
    let message = format!(
        "The baseline in account {} ({}) has the version {version}; the configured one is {current}. Upgrade it: \
         freehold tenants upgrade-baseline {} --environment {}",
        environment.aws_account_id,
        environment_label(environment),
        environment.tenant_id,
        environment.name
    );
    comparison.add_environment_finding(FindingKind::BaselineOutdated, environment, "", Person, message);
}

/// Reports that Freehold cannot use its role in the account. In this case the stacks cannot be read either.
pub(super) fn report_lost_access(environment: &MappedEnvironment, why: &str, comparison: &mut Comparison) {
    let message = format!(
        "Freehold has no access to account {} ({}): {why}. A repair of the environment reinstalls its roles.",
        environment.aws_account_id,
        environment_label(environment)
    );
    comparison.add_environment_finding(FindingKind::AccessLost, environment, "", Repair, message);
}

fn check_stack(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    deployed: &DeployedStack,
    observed: &ObservedStack,
    comparison: &mut Comparison,
) {
    let (name, region) = (deployed.name.as_str(), deployed.region);
    // A subject of a stack in the home region has been stored without the region.
    let subject = match (deployed.kind, deployed.slot) {
        (StackKind::FrontDoor, _) => format!("{}/{name}", deployed.kind),
        (_, StackSlot::Home) => name.to_owned(),
        (_, StackSlot::Replica(_)) => format!("{region}/{name}"),
    };
    let location = format!("account {} ({}) in {}", environment.aws_account_id, environment_label(environment), region);
    let Some(stack) = observed.state.as_ref().filter(|stack| stack.status != StackStatus::Deleted) else {
        let message = format!("Stack {name} is missing in {location}. A repair of the environment deploys it again.");
        return comparison.add_environment_finding(FindingKind::StackMissing, environment, &subject, Repair, message);
    };
    match stack.status {
        StackStatus::Deleting | StackStatus::Deleted => {
            let message =
                format!("Stack {name} in {location} is being deleted. A repair of the environment deploys it again.");
            comparison.add_environment_finding(FindingKind::StackMissing, environment, &subject, Repair, message);
        }
        StackStatus::Broken | StackStatus::RolledBack | StackStatus::UpdateStuck | StackStatus::DeleteStuck => {
            let reason = stack.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let message = format!(
                "Stack {name} in {location} is stuck in {}{reason}. Check its events in CloudFormation.",
                stack.status_text
            );
            comparison.add_environment_finding(FindingKind::StackFailed, environment, &subject, Person, message);
        }
        StackStatus::Complete | StackStatus::UpdateRolledBack | StackStatus::InProgress => {
            let release = releases::compare(input, observed, deployed, stack);
            if let Some(difference) = &release.difference {
                let message = releases::message(environment, deployed, &location, difference);
                comparison.add_environment_finding(
                    FindingKind::ReleaseMismatch,
                    environment,
                    &subject,
                    Person,
                    message,
                );
            }
            let is_explained =
                release.difference.is_some() || release.has_template && stack.status == StackStatus::UpdateRolledBack;
            let differences = differences(input, environment, deployed, stack, is_explained);
            let old_home =
                stack.parameters.get("HomeRegion").filter(|found| **found != environment.home_region.as_str());
            if let Some(old_home) = old_home.filter(|_| differences.is_empty()) {
                let message = format!(
                    "Stack {name} in {location} has the home region {old_home}, but the home has moved to {}. A repair \
                     of the environment corrects it.",
                    environment.home_region
                );
                comparison.add_environment_finding(FindingKind::StackDrifted, environment, &subject, Repair, message);
            }
            if !differences.is_empty() {
                let message = format!(
                    "Stack {name} in {location} was changed outside Freehold: {}. Find out who changed it, then undo \
                     the change.",
                    differences.join("; ")
                );
                comparison.add_environment_finding(FindingKind::StackDrifted, environment, &subject, Person, message);
            }
        }
    }
}

/// Describes each change that was made to a stack outside Freehold. A change of another kind is detected by the time of
/// the stack's last update, unless `is_explained`.
fn differences(
    input: &CompareInput<'_>,
    environment: &MappedEnvironment,
    deployed: &DeployedStack,
    stack: &StackState,
    is_explained: bool,
) -> Vec<String> {
    let mut differences = Vec::new();
    if stack.id != deployed.stack_id {
        differences.push("another stack has its name".to_owned());
    }
    if let Some(at) = stack.updated_at.filter(|at| *at > deployed.at && !is_explained) {
        differences.push(format!("it was updated at {}", at.format("%Y-%m-%d %H:%M:%S")));
    }
    let ids = (environment.tenant_id.to_string(), environment.id.to_string());
    let identity = [
        ("freehold:installation", input.installation.to_string()),
        ("freehold:tenant", ids.0.clone()),
        ("freehold:environment", ids.1.clone()),
    ];
    for (tag, wanted) in identity {
        if stack.tags.get(tag) != Some(&wanted) {
            let found = stack.tags.get(tag).map_or("missing", String::as_str);
            differences.push(format!("its tag {tag} is {found}"));
        }
    }
    // Parameters that identify the environment are compared only if the stack has them.
    for (parameter, wanted) in [("TenantId", &ids.0), ("EnvironmentId", &ids.1)] {
        if let Some(found) = stack.parameters.get(parameter).filter(|found| *found != wanted) {
            differences.push(format!("its parameter {parameter} is {found}"));
        }
    }
    if deployed.kind == StackKind::FrontDoor
        && let Some(found) = stack.parameters.get("Enabled").filter(|found| *found != "true")
    {
        differences.push(format!("its parameter Enabled is {found}"));
    }
    differences
}
