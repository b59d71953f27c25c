//! Permissions of the role `freehold-access`, which deploys the tenant stack. CloudFormation creates each resource with
//! the permissions of that role.

use freehold_tenancy::config::AccessRole;
use serde_json::Value;

use super::{Template, baseline};

/// Actions that the role allows. Resources and conditions of Allow statements are not compared.
pub(super) struct AllowedActions {
    allowed: Vec<String>,
    /// Actions that a statement without a condition denies for every resource.
    denied: Vec<String>,
}

impl AllowedActions {
    /// Reads the actions from the baseline template and the configured statements.
    pub(super) fn of_access_role(role: &AccessRole) -> Self {
        let mut actions = Self { allowed: Vec::new(), denied: Vec::new() };
        let Ok(baseline) = Template::parse(&baseline::template(role)) else { return actions };
        let role = baseline.section("Resources").find(|(name, _)| *name == "Access").map(|(_, role)| role);
        let policies = role.map(|role| list(&role["Properties"]["Policies"])).unwrap_or_default();
        for statement in policies.into_iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])) {
            let names = list(&statement["Action"]).into_iter().filter_map(Value::as_str).map(str::to_ascii_lowercase);
            let is_total =
                statement["Condition"].is_null() && list(&statement["Resource"]).iter().any(|one| *one == "*");
            match statement["Effect"].as_str() {
                Some("Allow") => actions.allowed.extend(names),
                Some("Deny") if is_total => actions.denied.extend(names),
                _ => {}
            }
        }
        actions
    }

    pub(super) fn contains(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let has = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern.as_bytes(), action.as_bytes()));
        has(&self.allowed) && !has(&self.denied)
    }
}

/// Returns whether an action matches a pattern with the wildcards `*` and `?` of IAM.
fn matches(pattern: &[u8], action: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Position after the latest `*`, and the position in the action up to which it matches.
    let mut star: Option<(usize, usize)> = None;
    while read < action.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, read));
            }
            Some(one) if *one == b'?' || *one == action[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((after, matched)) => {
                    (at, read) = (after, matched + 1);
                    star = Some((after, matched + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|one| *one == b'*')
}

/// Returns the items of a list. A single value is treated as a list with one item.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actions_of_the_access_role_are_read_from_the_baseline() {
        let allowed = AllowedActions::of_access_role(&AccessRole::default());
        for action in ["lambda:CreateFunction", "iam:CreateRole", "logs:CreateLogGroup", "cloudformation:CreateStack"] {
            assert!(allowed.contains(action), "{action}");
        }
        // The other role of the baseline, and actions that only look similar.
        for action in ["cloudformation:ListStacks", "iam:CreateUser", "sqs:CreateQueue", "lambdax:Create"] {
            assert!(!allowed.contains(action), "{action}");
        }
    }

    #[test]
    fn the_configured_statements_are_taken_into_account() {
        let text = concat!(
            include_str!("../../../tenancy/src/config/minimal.toml"),
            "[[access_role.statements]]\nEffect = \"Allow\"\nAction = [\"sqs:*Queue\", \"sns:Create?opic\"]\n",
            "Resource = \"arn:aws:sqs:*:${AWS::AccountId}:*\"\n",
            "[[access_role.statements]]\nEffect = \"Deny\"\nAction = \"sqs:DeleteQueue\"\nResource = \"*\"\n",
            "[[access_role.statements]]\nEffect = \"Deny\"\nAction = \"sqs:*\"\nResource = \"arn:aws:sqs:*:*:x\"\n",
        );
        let config = freehold_tenancy::Config::parse(text).unwrap();
        let allowed = AllowedActions::of_access_role(&config.access_role);
        for action in ["sqs:CreateQueue", "SQS:createqueue", "sns:CreateTopic", "lambda:CreateFunction"] {
            assert!(allowed.contains(action), "{action}");
        }
        for action in ["sqs:DeleteQueue", "sqs:TagQueues", "sns:CreateTopics", "sqs:"] {
            assert!(!allowed.contains(action), "{action}");
        }
    }
}
