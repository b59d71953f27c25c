//! IAM policies of Freehold's roles in the management account, with the ids of one organisation. The files in
//! `deploy/iam` are the same policies with example ids.

use std::collections::BTreeSet;

use freehold_tenancy::Config;
use freehold_tenancy::config::Residency;
use serde_json::Value;

use crate::aws::Aws;
use crate::bootstrap::{BootstrapError, retry_while_busy};

/// Roles in the management account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyRole {
    /// The role that works in the organisation.
    Control,
    /// The role that changes users, groups and memberships of Identity Center.
    People,
}

/// Ids that the policies contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyIds {
    pub management_account: String,
    pub freehold_account: String,
    pub organization: String,
    pub root: String,
    /// OUs of the residencies and the quarantine OU.
    pub ous: Vec<String>,
    /// Groups of Identity Center whose members Freehold never changes.
    pub staff_groups: Vec<String>,
    /// Names of configured groups that Identity Center does not have, so that no policy protects them.
    pub missing_groups: Vec<String>,
    /// Name of the role that AWS Organizations creates in each new account.
    pub access_role: String,
}

/// Example ids in the files of `deploy/iam`.
const MANAGEMENT_ACCOUNT: &str = "111122223333";
const FREEHOLD_ACCOUNT: &str = "444455556666";
const ORGANIZATION: &str = "o-exampleorgid";
const ROOT: &str = "r-exam";
const RESIDENCY_OU: &str = "ou-exam-residency1";
const QUARANTINE_OU: &str = "ou-exam-quarantine";
const STAFF_GROUP: &str = "90677c5d-0000-4000-8000-000000000000";
const ACCESS_ROLE: &str = "OrganizationAccountAccessRole";

/// Reads the ids of the organisation, after `freehold bootstrap` has created the OUs. Needs the same credentials.
pub async fn read_ids(aws: &Aws, config: &Config) -> Result<PolicyIds, BootstrapError> {
    let clock = aws.clock();
    let aws = &aws.as_administrator().await?;
    let organization = &config.organization;
    let ous = retry_while_busy(clock, || aws.own_ous()).await?;
    let residencies = config.residencies.iter().map(Residency::ou_name);
    for needed in residencies.chain([organization.quarantine_ou.clone()]) {
        if !ous.iter().any(|(name, _)| *name == needed) {
            return Err(BootstrapError::Missing(format!("the OU {needed}")));
        }
    }
    let (mut staff_groups, mut missing_groups) = (Vec::new(), Vec::new());
    if !config.permission_sets.is_empty() {
        let granted = config.access.iter().map(|access| &access.group);
        let names: BTreeSet<&String> = granted.chain(&organization.protected_groups).collect();
        for name in names {
            match retry_while_busy(clock, || aws.group(name)).await? {
                Some(id) => staff_groups.push(id),
                None => missing_groups.push(name.clone()),
            }
        }
    }
    Ok(PolicyIds {
        management_account: organization.management_account_id.to_string(),
        freehold_account: organization.freehold_account_id.to_string(),
        organization: retry_while_busy(clock, || aws.organization_facts()).await?.id,
        root: retry_while_busy(clock, || aws.root_facts()).await?.id,
        ous: ous.into_iter().map(|(_, id)| id).collect(),
        staff_groups,
        missing_groups,
        access_role: organization.access_role_name.clone(),
    })
}

/// Maximum length of the inline policies of a role in characters, without whitespace (IAM quotas). A managed policy may
/// have 6,144.
const LONGEST_INLINE_POLICY: usize = 10_240;

/// Returns an error if the policy does not fit into a role.
pub fn check_length(policy: &Value) -> Result<(), String> {
    match policy.to_string().chars().count() {
        0..=LONGEST_INLINE_POLICY => Ok(()),
        characters => Err(format!(
            "the policy has {characters} characters, but IAM allows {LONGEST_INLINE_POLICY} in the inline policies of \
             a role; remove OUs of former residencies and groups that need no protection"
        )),
    }
}

/// Returns the policy of a role as JSON.
pub fn policy(role: PolicyRole, ids: &PolicyIds) -> Value {
    let text = match role {
        PolicyRole::Control => include_str!("../../deploy/iam/control-role.json"),
        PolicyRole::People => include_str!("../../deploy/iam/people-role.json"),
    };
    let mut policy: Value = serde_json::from_str(text).unwrap_or_default();
    fill(&mut policy, ids);
    if let Some(statements) = policy.get_mut("Statement").and_then(Value::as_array_mut) {
        // A statement without ids would be invalid, and denies or allows nothing.
        statements.retain(|statement| !has_empty_list(statement));
    }
    policy
}

/// Replaces the example ids. A text with the example of a group or residency OU is repeated for each id.
fn fill(value: &mut Value, ids: &PolicyIds) {
    match value {
        Value::String(text) => *text = fill_text(text, ids),
        Value::Object(entries) => entries.values_mut().for_each(|value| fill(value, ids)),
        Value::Array(items) => {
            let repeat = |item: Value| match item.as_str() {
                Some(text) if text.contains(RESIDENCY_OU) => repeated(text, RESIDENCY_OU, &ids.ous),
                // The quarantine OU is one of the OUs.
                Some(text) if text.contains(QUARANTINE_OU) => Vec::new(),
                Some(text) if text.contains(STAFF_GROUP) => repeated(text, STAFF_GROUP, &ids.staff_groups),
                _ => vec![item],
            };
            *items = std::mem::take(items).into_iter().flat_map(repeat).collect();
            for item in items {
                fill(item, ids);
            }
        }
        _ => {}
    }
}

fn repeated(text: &str, example: &str, ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| Value::String(text.replace(example, id))).collect()
}

fn fill_text(text: &str, ids: &PolicyIds) -> String {
    // In two rounds, because the id of an account may be the example of the other one.
    text.replace(MANAGEMENT_ACCOUNT, "{management}")
        .replace(FREEHOLD_ACCOUNT, "{freehold}")
        .replace("{management}", &ids.management_account)
        .replace("{freehold}", &ids.freehold_account)
        .replace(ORGANIZATION, &ids.organization)
        .replace(&format!("/{ROOT}"), &format!("/{}", ids.root))
        .replace(ACCESS_ROLE, &ids.access_role)
}

fn has_empty_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(has_empty_list),
        Value::Object(entries) => entries.values().any(has_empty_list),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> PolicyIds {
        PolicyIds {
            management_account: FREEHOLD_ACCOUNT.to_owned(),
            freehold_account: "777788889999".to_owned(),
            organization: "o-a1b2c3d4e5".to_owned(),
            root: "r-ab12".to_owned(),
            ous: vec!["ou-ab12-11111111".to_owned(), "ou-ab12-22222222".to_owned(), "ou-ab12-33333333".to_owned()],
            staff_groups: vec!["group-1".to_owned(), "group-2".to_owned()],
            missing_groups: Vec::new(),
            access_role: "Vendor".to_owned(),
        }
    }

    #[test]
    fn a_policy_contains_the_ids_of_the_organisation_and_no_example() {
        let text = policy(PolicyRole::Control, &ids()).to_string() + &policy(PolicyRole::People, &ids()).to_string();
        for example in ["111122223333", "exampleorgid", "exam-", "r-exam", "OrganizationAccountAccessRole", STAFF_GROUP]
        {
            assert!(!text.contains(example), "{example}");
        }
        for expected in [
            "arn:aws:organizations::444455556666:account/o-*/777788889999",
            "arn:aws:organizations::444455556666:root/o-a1b2c3d4e5/r-ab12",
            "arn:aws:organizations::444455556666:ou/o-a1b2c3d4e5/ou-ab12-33333333",
            "o-a1b2c3d4e5/*/ou-ab12-11111111/*",
            "arn:aws:identitystore:::group/group-2",
            "arn:aws:iam::*:role/Vendor",
        ] {
            assert!(text.contains(&format!("\"{expected}\"")), "{expected}");
        }
    }

    #[test]
    fn a_policy_that_no_role_can_have_is_an_error() {
        let with_ous = |count: usize| {
            let ous = (0..count).map(|number| format!("ou-ab12-{number:08}")).collect();
            check_length(&policy(PolicyRole::Control, &PolicyIds { ous, ..ids() }))
        };
        assert_eq!(with_ous(10), Ok(()));
        assert!(with_ous(100).unwrap_err().contains("10240 in the inline policies"));
    }

    #[test]
    fn a_statement_about_groups_is_left_out_without_groups() {
        let policy = policy(PolicyRole::People, &PolicyIds { staff_groups: Vec::new(), ..ids() });
        assert_eq!(policy["Statement"].as_array().map(Vec::len), Some(1));
    }
}
