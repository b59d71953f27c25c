//! AWS-managed policies: the names of all, and the documents of some, reduced to the permissions that the simulated
//! services evaluate.

use serde_json::json;

use crate::policy::Document;

/// Names of all AWS-managed policies with their paths. `sandbox/aws/managed_policies.py` writes this file.
const NAMES: &str = include_str!("managed_policies.txt");

/// Returns whether AWS has a managed policy with this ARN.
pub fn is_aws_managed_policy(arn: &str) -> bool {
    arn.strip_prefix("arn:aws:iam::aws:policy/").is_some_and(|name| NAMES.lines().any(|known| known == name))
}

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
        for name in [
            "AdministratorAccess",
            "AWSSupportAccess",
            "CloudWatchReadOnlyAccess",
            "PowerUserAccess",
            "ReadOnlyAccess",
            "SecurityAudit",
            "job-function/Billing",
            "job-function/ViewOnlyAccess",
            "service-role/AWSLambdaBasicExecutionRole",
        ] {
            let arn = format!("arn:aws:iam::aws:policy/{name}");
            assert!(managed_policy(&arn).is_some() && is_aws_managed_policy(&arn), "{name}");
        }
        for name in ["Unknown", "Billing", ""] {
            assert!(!is_aws_managed_policy(&format!("arn:aws:iam::aws:policy/{name}")), "{name}");
        }
        assert!(managed_policy("arn:aws:iam::aws:policy/Unknown").is_none());
        assert!(is_aws_managed_policy("arn:aws:iam::aws:policy/AmazonS3FullAccess"));
    }
}
