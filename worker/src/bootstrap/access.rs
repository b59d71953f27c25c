//! Plans changes of permission sets and their policies, and checks that the configured groups exist.

use std::collections::BTreeSet;

use freehold_tenancy::Config;
use freehold_tenancy::config::PermissionSet;

use super::{Action, BootstrapError, Plan, retry_while_busy};
use crate::aws::{Aws, PermissionSetFacts};
use crate::guardrail::is_same_json;

pub(super) async fn plan(aws: &Aws, config: &Config, plan: &mut Plan) -> Result<(), BootstrapError> {
    if config.permission_sets.is_empty() {
        return Ok(());
    }
    let clock = aws.clock();
    retry_while_busy(clock, || aws.identity_center()).await?;
    for set in &config.permission_sets {
        let arn = retry_while_busy(clock, || aws.find_permission_set(&set.name)).await?;
        match arn {
            None => plan.actions.extend(create(set)),
            Some(arn) => {
                let facts = retry_while_busy(clock, || aws.permission_set_facts(&arn)).await?;
                plan.actions.extend(repair(set, &facts));
                plan.known.permission_sets.insert(set.name.clone(), arn);
            }
        }
    }
    check_groups(aws, config, plan).await
}

fn create(set: &PermissionSet) -> Vec<Action> {
    let mut actions = vec![Action::CreatePermissionSet {
        name: set.name.clone(),
        description: set.description.clone(),
        session_duration: set.session_duration.clone(),
    }];
    actions.extend(set.managed_policies.iter().map(|policy| attach(set, policy)));
    actions.extend(set.inline_policy.iter().map(|policy| put(set, policy)));
    actions
}

/// Returns the actions that make a permission set match the configuration and provision it in its accounts.
fn repair(set: &PermissionSet, facts: &PermissionSetFacts) -> Vec<Action> {
    let mut actions = Vec::new();
    if set.description != facts.description || set.session_duration != facts.session_duration {
        actions.push(Action::UpdatePermissionSet {
            name: set.name.clone(),
            description: set.description.clone(),
            session_duration: set.session_duration.clone(),
        });
    }
    let wanted: BTreeSet<_> = set.managed_policies.iter().cloned().collect();
    actions.extend(wanted.difference(&facts.managed_policies).map(|policy| attach(set, policy)));
    actions.extend(
        facts
            .managed_policies
            .difference(&wanted)
            .map(|policy| Action::DetachManagedPolicy { set: set.name.clone(), policy: policy.clone() }),
    );
    match &set.inline_policy {
        Some(policy) if !is_same_json(policy, &facts.inline_policy) => actions.push(put(set, policy)),
        None if !facts.inline_policy.is_empty() => {
            actions.push(Action::DeleteInlinePolicy { set: set.name.clone() });
        }
        _ => {}
    }
    if facts.outdated || (facts.provisioned && !actions.is_empty()) {
        actions.push(Action::Provision { set: set.name.clone() });
    }
    // Accounts have no copy of the tags.
    if !facts.tagged {
        actions.push(Action::TagPermissionSet { set: set.name.clone() });
    }
    actions
}

fn attach(set: &PermissionSet, policy: &str) -> Action {
    Action::AttachManagedPolicy { set: set.name.clone(), policy: policy.to_owned() }
}

fn put(set: &PermissionSet, policy: &str) -> Action {
    Action::PutInlinePolicy { set: set.name.clone(), policy: policy.to_owned() }
}

/// Adds a warning for each missing group. Bootstrap does not create groups, because the identity provider would not add
/// members to them.
async fn check_groups(aws: &Aws, config: &Config, plan: &mut Plan) -> Result<(), BootstrapError> {
    let names: BTreeSet<&str> = config.access.iter().map(|access| access.group.as_str()).collect();
    for name in names {
        if retry_while_busy(aws.clock(), || aws.group(name)).await?.is_none() {
            plan.warnings.push(format!(
                "Identity Center has no group `{name}`: create it, or let your identity provider create it; until then \
                 operations stop at step grant-access and need attention"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> PermissionSet {
        PermissionSet {
            name: "support".into(),
            description: "Read-only".into(),
            session_duration: "PT4H".into(),
            managed_policies: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()],
            inline_policy: Some(r#"{"Version":"2012-10-17","Statement":[]}"#.into()),
        }
    }

    fn facts() -> PermissionSetFacts {
        PermissionSetFacts {
            description: "Read-only".into(),
            session_duration: "PT4H".into(),
            managed_policies: BTreeSet::from(["arn:aws:iam::aws:policy/ReadOnlyAccess".into()]),
            inline_policy: "{ \"Statement\": [], \"Version\": \"2012-10-17\" }".into(),
            provisioned: true,
            tagged: true,
            outdated: false,
        }
    }

    fn lines(actions: &[Action]) -> Vec<String> {
        actions.iter().map(Action::to_string).collect()
    }

    #[test]
    fn a_permission_set_that_matches_needs_no_action() {
        assert_eq!(repair(&set(), &facts()), []);
    }

    #[test]
    fn a_new_permission_set_gets_its_policies() {
        assert_eq!(create(&set()).len(), 3);
    }

    #[test]
    fn a_changed_permission_set_is_provisioned_in_its_accounts() {
        let changed = PermissionSetFacts {
            session_duration: "PT1H".into(),
            managed_policies: BTreeSet::from(["arn:aws:iam::aws:policy/AdministratorAccess".into()]),
            inline_policy: String::new(),
            ..facts()
        };
        assert_eq!(
            lines(&repair(&set(), &changed)),
            [
                "update description and session length (PT4H) of permission set support",
                "attach arn:aws:iam::aws:policy/ReadOnlyAccess to permission set support",
                "detach arn:aws:iam::aws:policy/AdministratorAccess from permission set support",
                "set the inline policy of permission set support",
                "provision permission set support in the accounts that have it",
            ]
        );
        let unprovisioned = PermissionSetFacts { provisioned: false, ..changed };
        assert!(!repair(&set(), &unprovisioned).contains(&Action::Provision { set: "support".into() }));
    }

    #[test]
    fn a_permission_set_without_its_tag_is_tagged() {
        let untagged = PermissionSetFacts { tagged: false, ..facts() };
        assert_eq!(repair(&set(), &untagged), [Action::TagPermissionSet { set: "support".into() }]);
    }

    #[test]
    fn an_outdated_permission_set_is_provisioned_again() {
        let outdated = PermissionSetFacts { outdated: true, ..facts() };
        assert_eq!(repair(&set(), &outdated), [Action::Provision { set: "support".into() }]);
    }

    #[test]
    fn an_inline_policy_that_is_not_configured_is_deleted() {
        let bare = PermissionSet { inline_policy: None, ..set() };
        assert_eq!(lines(&repair(&bare, &facts()))[0], "delete the inline policy of permission set support");
    }
}
