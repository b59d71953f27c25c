//! AWS-managed policies, reduced to the permissions that the simulated services evaluate.

use serde_json::json;

use crate::policy::Document;

/// Returns the document of an AWS-managed policy, or `None` if the sandbox does not contain the policy.
pub fn managed_policy(arn: &str) -> Option<Document> {
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/")?;
    let read = ["*:Describe*", "*:Get*", "*:List*"];
    let statements = match name.rsplit('/').next()? {
        "AdministratorAccess" => json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]),
        "PowerUserAccess" => json!([
            { "Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*" },
            {
                "Effect": "Allow",
                "Action": ["iam:ListRoles", "organizations:DescribeOrganization", "account:ListRegions"],
                "Resource": "*",
            },
        ]),
        "ReadOnlyAccess" | "ViewOnlyAccess" | "SecurityAudit" => {
            json!([{ "Effect": "Allow", "Action": read, "Resource": "*" }])
        }
        "AWSSupportAccess" => json!([{ "Effect": "Allow", "Action": "support:*", "Resource": "*" }]),
        "CloudWatchReadOnlyAccess" => json!([{
            "Effect": "Allow",
            "Action": ["cloudwatch:Describe*", "cloudwatch:Get*", "cloudwatch:List*", "logs:Get*", "logs:List*",
                       "logs:Describe*", "logs:FilterLogEvents"],
            "Resource": "*",
        }]),
        "Billing" => json!([{ "Effect": "Allow", "Action": ["billing:*", "ce:*", "budgets:*"], "Resource": "*" }]),
        "AWSLambdaBasicExecutionRole" => json!([{
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "*",
        }]),
        _ => return None,
    };
    Document::from_value(json!({ "Version": "2012-10-17", "Statement": statements })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_managed_policies_are_valid() {
        for name in ["AdministratorAccess", "job-function/Billing", "service-role/AWSLambdaBasicExecutionRole"] {
            assert!(managed_policy(&format!("arn:aws:iam::aws:policy/{name}")).is_some(), "{name}");
        }
        assert!(managed_policy("arn:aws:iam::aws:policy/Unknown").is_none());
    }
}
