//! What was deployed into an account.

use freehold_tenancy::db::reconcile::{Deployed, MappedEnvironment};
use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::finding::FindingRemedy::{Person, Repair};

use super::{CompareInput, Comparison, called};
use crate::cloud::{StackState, StackStatus};

pub(super) fn check(
    sides: &CompareInput<'_>,
    environment: &MappedEnvironment,
    baseline: Option<&StackState>,
    stack: Option<&StackState>,
    comparison: &mut Comparison,
) {
    for (deployed, found) in [(&environment.baseline, baseline), (&environment.stack, stack)] {
        if let Some(deployed) = deployed {
            one(sides, environment, deployed, found, comparison);
        }
    }
}

/// Freehold's role in the account cannot be used: without its roles there is no look at its stacks either.
pub(super) fn no_way_in(environment: &MappedEnvironment, why: &str, comparison: &mut Comparison) {
    let message = format!(
        "Freehold cannot work in account {}, {}: {why}. A repair of the environment installs its roles anew.",
        environment.aws_account_id,
        called(environment)
    );
    comparison.environment(FindingKind::AccessLost, environment, "", Repair, message);
}

fn one(
    sides: &CompareInput<'_>,
    environment: &MappedEnvironment,
    deployed: &Deployed,
    found: Option<&StackState>,
    comparison: &mut Comparison,
) {
    let name = deployed.stack_id.split('/').nth(1).unwrap_or(&deployed.stack_id);
    let place = format!("account {}, {}, in {}", environment.aws_account_id, called(environment), deployed.region);
    let Some(stack) = found.filter(|stack| stack.status != StackStatus::Deleted) else {
        let message = format!("The stack {name} is gone from {place}. A repair of the environment deploys it again.");
        return comparison.environment(FindingKind::StackMissing, environment, name, Repair, message);
    };
    match stack.status {
        StackStatus::Deleting | StackStatus::Deleted => {
            let message = format!(
                "The stack {name} is being deleted from {place}. A repair of the environment deploys it again."
            );
            comparison.environment(FindingKind::StackMissing, environment, name, Repair, message);
        }
        StackStatus::Broken | StackStatus::RolledBack | StackStatus::UpdateStuck | StackStatus::DeleteStuck => {
            let reason = stack.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let message = format!(
                "The stack {name} in {place}, stands in {}{reason}, which it does not leave by itself. Look at its events.",
                stack.status_text
            );
            comparison.environment(FindingKind::StackFailed, environment, name, Person, message);
        }
        StackStatus::Complete | StackStatus::InProgress => {
            let differences = differences(sides, environment, deployed, stack);
            if !differences.is_empty() {
                let message = format!(
                    "The stack {name} in {place}, is not as Freehold left it: {}. Find out who changed it, and put it back.",
                    differences.join("; ")
                );
                comparison.environment(FindingKind::StackDrifted, environment, name, Person, message);
            }
        }
    }
}

/// What tells that somebody else has been at a stack. A changed template needs no look of its own: it takes an update, and
/// that has its time.
fn differences(
    sides: &CompareInput<'_>,
    environment: &MappedEnvironment,
    deployed: &Deployed,
    stack: &StackState,
) -> Vec<String> {
    let mut differences = Vec::new();
    if stack.id != deployed.stack_id {
        differences.push("it is another stack of the same name".to_owned());
    }
    if let Some(at) = stack.updated_at.filter(|at| *at > deployed.at) {
        differences.push(format!("it was updated at {}", at.format("%Y-%m-%d %H:%M:%S")));
    }
    let ids = (environment.tenant_id.to_string(), environment.id.to_string());
    let marks = [
        ("freehold:installation", sides.installation.to_string()),
        ("freehold:tenant", ids.0.clone()),
        ("freehold:environment", ids.1.clone()),
    ];
    for (tag, wanted) in marks {
        if stack.tags.get(tag) != Some(&wanted) {
            let found = stack.tags.get(tag).map_or("nothing", String::as_str);
            differences.push(format!("its tag {tag} says {found}"));
        }
    }
    // Those of Freehold's own parameters that say whose it is, where the stack has them.
    for (parameter, wanted) in
        [("TenantId", &ids.0), ("EnvironmentId", &ids.1), ("HomeRegion", &environment.home_region.to_string())]
    {
        if let Some(found) = stack.parameters.get(parameter).filter(|found| *found != wanted) {
            differences.push(format!("its parameter {parameter} says {found}"));
        }
    }
    differences
}
