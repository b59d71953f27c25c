//! Permissions of the role `freehold-access`, which deploys the tenant stack. CloudFormation creates each resource with
//! the permissions of that role.

use serde_json::Value;

use super::{BASELINE_TEMPLATE, Template};

/// Actions that the role allows. Resources and conditions of the statements are not compared.
pub(super) struct AllowedActions(Vec<String>);

impl AllowedActions {
    /// Reads the actions from the baseline template.
    pub(super) fn of_access_role() -> Self {
        let Ok(baseline) = Template::parse(BASELINE_TEMPLATE) else { return Self(Vec::new()) };
        let role = baseline.section("Resources").find(|(name, _)| *name == "Access").map(|(_, role)| role);
        let policies = role.map(|role| list(&role["Properties"]["Policies"])).unwrap_or_default();
        let statements = policies.into_iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
        let allowed = statements.filter(|statement| statement["Effect"] == "Allow");
        let actions = allowed.flat_map(|statement| list(&statement["Action"]));
        Self(actions.filter_map(Value::as_str).map(str::to_ascii_lowercase).collect())
    }

    pub(super) fn contains(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.0.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => action.starts_with(prefix),
            None => *allowed == action,
        })
    }
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
        let allowed = AllowedActions::of_access_role();
        for action in ["lambda:CreateFunction", "iam:CreateRole", "logs:CreateLogGroup", "cloudformation:CreateStack"] {
            assert!(allowed.contains(action), "{action}");
        }
        // The other role of the baseline, and actions that only look similar.
        for action in ["cloudformation:ListStacks", "iam:CreateUser", "sqs:CreateQueue", "lambdax:Create"] {
            assert!(!allowed.contains(action), "{action}");
        }
    }
}
