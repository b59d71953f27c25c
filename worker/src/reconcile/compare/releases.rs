//! Compares the template and the parameters of a tenant stack with those of its release on record.

use freehold_tenancy::db::reconcile::{DeployedStack, MappedEnvironment};
use freehold_tenancy::{Region, ReleaseId};

use super::CompareInput;
use crate::cloud::StackState;
use crate::reconcile::observe::ObservedStack;

/// Characters with which CloudFormation replaces the value of a parameter that has `NoEcho`.
const HIDDEN_VALUE: char = '*';

/// Result of the comparison of a stack with its release on record.
#[derive(Debug, Default)]
pub(super) struct ReleaseComparison {
    /// Difference between the stack and the release; `None` if there is none, or if the stack has no release.
    pub(super) difference: Option<String>,
    /// Whether the template was read and is that of the release.
    pub(super) has_template: bool,
}

/// Compares a stack with its release on record. The template was read only if the stack has changed.
pub(super) fn compare(
    input: &CompareInput<'_>,
    observed: &ObservedStack,
    deployed: &DeployedStack,
    stack: &StackState,
) -> ReleaseComparison {
    let Some(release) = &deployed.release else { return ReleaseComparison::default() };
    let mut differences = Vec::new();
    let wanted = input.template_hashes.get(&(deployed.region, release.id));
    let found = observed.template_sha256.as_ref();
    let has_template = found.is_some() && found == wanted;
    if let (Some(found), false) = (found, has_template) {
        // The latest of the releases with this template.
        let is_same = |hash: &(&(Region, ReleaseId), &String)| hash.0.0 == deployed.region && hash.1 == found;
        let other = input.template_hashes.iter().rfind(is_same).map(|((_, id), _)| *id);
        differences.push(match other {
            Some(other) => format!("it has the template of the release {other}"),
            None => "it has a template that is not of any release".to_owned(),
        });
    }
    // CloudFormation knows only the parameters that the template declares.
    let is_different = |name: &&String| {
        let found =
            stack.parameters.get(*name).filter(|found| found.is_empty() || found.contains(|one| one != HIDDEN_VALUE));
        found.is_some_and(|found| release.parameters.get(*name) != Some(found))
    };
    let names: Vec<&str> = release.parameters.keys().filter(is_different).map(String::as_str).collect();
    if !names.is_empty() {
        differences.push(format!("its parameters differ: {}", names.join(", ")));
    }
    ReleaseComparison { difference: (!differences.is_empty()).then(|| differences.join("; ")), has_template }
}

/// Returns the message about a stack that does not have its release on record.
pub(super) fn message(
    environment: &MappedEnvironment,
    deployed: &DeployedStack,
    location: &str,
    difference: &str,
) -> String {
    let release = deployed.release.as_ref().map(|release| release.id.to_string()).unwrap_or_default();
    format!(
        "Stack {} in {location} does not have its release on record, {release}: {difference}. Find out who changed it. \
         To deploy the release on record again: freehold releases deploy {release} {} --environment {}",
        deployed.name, environment.tenant_id, environment.name
    )
}
