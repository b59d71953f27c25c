//! Service control policies that Freehold manages. They restrict every principal in a tenant's account.
//!
//! This module only creates the policy documents. `freehold bootstrap` writes them to AWS, and the step
//! `enforce-residency` compares them with the attached policies. The region guardrail does not apply to the access
//! role; it applies to the verify role in the same way as to the tenant.

mod actions;

use freehold_tenancy::Region;
pub use freehold_tenancy::baseline::{ACCESS_ROLE, VERIFY_ROLE};
use freehold_tenancy::config::{Organization, Residency};
use serde_json::{Value, json};

use actions::{
    ACCESS_CONTROL_CHANGES, ACCOUNT_CHANGES, CLOUDFRONT_SERVICES, DISTRIBUTION_CHANGES, EDGE_CREATIONS, FUNCTION_USES,
    GLOBAL_SERVICES, HOOK_CHANGES, IAM_READS, LOG_READS, STACK_READS, STACK_REFACTORS,
};

/// Maximum length of a service control policy in characters (AWS Organizations quotas).
pub const LONGEST_POLICY: usize = 10_240;

/// Name of the policy on the quarantine OU.
pub const QUARANTINE_POLICY: &str = "freehold-quarantine";

/// Region of services that have a single global endpoint.
const GLOBAL_REGION: &str = "us-east-1";

/// Error for a policy that exceeds AWS's length limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("guardrail `{name}` has {characters} characters, but AWS allows at most {LONGEST_POLICY}; use fewer regions")]
pub struct PolicyTooLong {
    /// Name of the policy.
    pub name: String,
    /// Length of the policy in characters.
    pub characters: usize,
}

/// Returns the guardrail of a residency. It denies other regions, changes of the account itself, and changes of
/// Freehold's stacks and their resources.
pub fn residency_guardrail(residency: &Residency, organization: &Organization) -> Result<String, PolicyTooLong> {
    let regions: Vec<&str> = residency.regions.iter().map(|region| Region::as_str(*region)).collect();
    let mut with_global = regions.clone();
    if !with_global.contains(&GLOBAL_REGION) {
        with_global.push(GLOBAL_REGION);
    }
    let exempt_services: Vec<&str> = GLOBAL_SERVICES.into_iter().chain(CLOUDFRONT_SERVICES).collect();
    let exempt = exempt_roles(organization);
    let unless_exempt = json!({ "aws:PrincipalArn": exempt });
    // The roles of the stack may write the logs of its functions and change the functions. A tenant can neither create
    // such a role nor pass it.
    let of_stack: Vec<String> = exempt.into_iter().chain([role("freehold-tenant*")]).collect();
    let unless_of_stack = json!({ "aws:PrincipalArn": of_stack });
    let no_edges = (!residency.edge).then(|| {
        json!({
            "Sid": "NoEdges",
            "Effect": "Deny",
            "Action": EDGE_CREATIONS,
            "Resource": "*",
            "Condition": { "ArnNotLike": unless_exempt },
        })
    });
    let mut document = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyTheseRegions",
                "Effect": "Deny",
                "NotAction": exempt_services,
                "Resource": "*",
                "Condition": {
                    "StringNotEquals": { "aws:RequestedRegion": regions },
                    "ArnNotLike": unless_exempt,
                },
            },
            {
                "Sid": "CloudFrontsPartInItsRegion",
                "Effect": "Deny",
                "Action": CLOUDFRONT_SERVICES,
                "Resource": "*",
                "Condition": {
                    "StringNotEquals": { "aws:RequestedRegion": with_global },
                    "ArnNotLike": unless_exempt,
                },
            },
            {
                "Sid": "HandsOffTheAccount",
                "Effect": "Deny",
                "Action": ACCOUNT_CHANGES,
                "Resource": "*",
            },
            {
                "Sid": "HandsOffFreeholdsRoles",
                "Effect": "Deny",
                "NotAction": IAM_READS,
                "Resource": [
                    "arn:aws:iam::*:role/freehold-*",
                    "arn:aws:iam::*:instance-profile/freehold-*",
                    "arn:aws:iam::*:policy/freehold-*",
                    role(&organization.access_role_name),
                ],
                "Condition": { "ArnNotLike": unless_exempt },
            },
            {
                "Sid": "HandsOffFreeholdsStacks",
                "Effect": "Deny",
                "NotAction": STACK_READS,
                "Resource": "arn:aws:cloudformation:*:*:stack/freehold-*",
                "Condition": { "ArnNotLike": unless_exempt },
            },
            {
                "Sid": "NoMovesBetweenStacks",
                "Effect": "Deny",
                "Action": STACK_REFACTORS,
                "Resource": "*",
                "Condition": { "ArnNotLike": unless_exempt },
            },
            {
                "Sid": "NoHooks",
                "Effect": "Deny",
                "Action": HOOK_CHANGES,
                "Resource": "*",
                "Condition": { "ArnNotLike": unless_exempt },
            },
            {
                "Sid": "HandsOffFreeholdsFunctions",
                "Effect": "Deny",
                "NotAction": FUNCTION_USES,
                "Resource": "arn:aws:lambda:*:*:function:freehold-tenant*",
                "Condition": { "ArnNotLike": unless_of_stack },
            },
            {
                "Sid": "HandsOffFreeholdsLogs",
                "Effect": "Deny",
                "NotAction": LOG_READS,
                "Resource": "arn:aws:logs:*:*:log-group:/aws/lambda/freehold-tenant*",
                "Condition": { "ArnNotLike": unless_of_stack },
            },
            {
                "Sid": "HandsOffFreeholdsFrontDoor",
                "Effect": "Deny",
                "Action": DISTRIBUTION_CHANGES,
                "Resource": "*",
                "Condition": {
                    "Null": { "aws:ResourceTag/freehold:environment": "false" },
                    "ArnNotLike": unless_exempt,
                },
            },
            {
                "Sid": "HandsOffAccessControls",
                "Effect": "Deny",
                "Action": ACCESS_CONTROL_CHANGES,
                "Resource": "*",
                "Condition": { "ArnNotLike": unless_exempt },
            },
        ],
    });
    if let Some(statements) = document["Statement"].as_array_mut() {
        statements.extend(no_edges);
    }
    to_minified_json(&residency.guardrail_name(), &document)
}

/// Returns the policy on the quarantine OU. It denies all calls except those of Freehold's roles, which delete the
/// stacks.
pub fn quarantine_policy(organization: &Organization) -> Result<String, PolicyTooLong> {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "NothingAtAll",
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": { "ArnNotLike": { "aws:PrincipalArn": exempt_roles(organization) } },
            },
            {
                "Sid": "StayInTheOrganisation",
                "Effect": "Deny",
                "Action": "organizations:LeaveOrganization",
                "Resource": "*",
            },
        ],
    });
    to_minified_json(QUARANTINE_POLICY, &document)
}

/// Returns whether two JSON documents have the same content. Whitespace is ignored. Invalid JSON is not equal to any
/// text.
pub fn is_same_json(one: &str, other: &str) -> bool {
    match (serde_json::from_str::<Value>(one), serde_json::from_str::<Value>(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Returns the ARN patterns of the roles that install the baseline stack and deploy the tenant stack.
fn exempt_roles(organization: &Organization) -> [String; 2] {
    [role(&organization.access_role_name), role(ACCESS_ROLE)]
}

/// Returns the ARN pattern that matches the role `name` in every account. The role must have no path.
fn role(name: &str) -> String {
    format!("arn:aws:iam::*:role/{name}")
}

/// Returns the document without whitespace, because whitespace counts towards AWS's length limit.
fn to_minified_json(name: &str, document: &Value) -> Result<String, PolicyTooLong> {
    let text = document.to_string();
    match text.chars().count() {
        0..=LONGEST_POLICY => Ok(text),
        characters => Err(PolicyTooLong { name: name.to_owned(), characters }),
    }
}

#[cfg(test)]
mod tests {
    use freehold_tenancy::Config;

    use super::*;

    fn config(regions: &[&str]) -> Config {
        Config::parse(&format!(
            r#"
            [organization]
            management_account_id = "111122223333"
            freehold_account_id = "444455556666"
            control_role_arn = "arn:aws:iam::111122223333:role/freehold-control"
            account_email = "aws+{{environment_id}}@example.com"
            [[residencies]]
            name = "eu"
            regions = {regions:?}
            "#
        ))
        .unwrap()
    }

    fn statements(text: &str) -> Vec<Value> {
        serde_json::from_str::<Value>(text).unwrap()["Statement"].as_array().unwrap().clone()
    }

    fn guardrail(regions: &[&str]) -> String {
        let config = config(regions);
        residency_guardrail(&config.residencies[0], &config.organization).unwrap()
    }

    #[test]
    fn regional_services_are_denied_outside_the_residency() {
        let only = &statements(&guardrail(&["eu-central-1", "eu-west-1"]))[0];
        assert_eq!(only["Effect"], "Deny");
        assert_eq!(only["Condition"]["StringNotEquals"]["aws:RequestedRegion"], json!(["eu-central-1", "eu-west-1"]));
        let exempted = only["NotAction"].as_array().unwrap();
        for global in ["iam:*", "sts:*", "organizations:*", "route53:*", "cloudfront:*", "support:*"] {
            assert!(exempted.contains(&json!(global)), "{global} would be denied");
        }
        for regional in ["cloudformation:*", "lambda:*", "s3:*", "logs:*", "kms:*", "dynamodb:*"] {
            assert!(!exempted.contains(&json!(regional)), "{regional} would be allowed anywhere");
        }
    }

    #[test]
    fn services_of_cloudfront_are_also_allowed_in_us_east_1() {
        let part = &statements(&guardrail(&["eu-central-1"]))[1];
        assert_eq!(part["Action"], json!(["acm:*", "wafv2:*"]));
        assert_eq!(part["Condition"]["StringNotEquals"]["aws:RequestedRegion"], json!(["eu-central-1", "us-east-1"]));
        let american = &statements(&guardrail(&["us-east-1"]))[1];
        assert_eq!(american["Condition"]["StringNotEquals"]["aws:RequestedRegion"], json!(["us-east-1"]));
    }

    #[test]
    fn only_the_bootstrap_role_and_freehold_access_are_exempt() {
        let text = guardrail(&["eu-central-1"]);
        let exempted = &statements(&text)[0]["Condition"]["ArnNotLike"]["aws:PrincipalArn"];
        assert_eq!(
            *exempted,
            json!(["arn:aws:iam::*:role/OrganizationAccountAccessRole", "arn:aws:iam::*:role/freehold-access"])
        );
        assert!(!text.contains(VERIFY_ROLE));
    }

    #[test]
    fn the_account_and_the_roles_of_freehold_cannot_be_changed_from_inside() {
        let statements = statements(&guardrail(&["eu-central-1"]));
        for action in ["organizations:LeaveOrganization", "account:CloseAccount", "account:PutAlternateContact"] {
            assert!(statements[2]["Action"].as_array().unwrap().contains(&json!(action)), "{action}");
        }
        assert!(statements[2].get("Condition").is_none(), "no role may be exempt");
        let resources = statements[3]["Resource"].as_array().unwrap();
        for role in ["freehold-*", "OrganizationAccountAccessRole"] {
            assert!(resources.contains(&json!(format!("arn:aws:iam::*:role/{role}"))), "{role}");
        }
        for action in statements[3]["NotAction"].as_array().unwrap() {
            let operation = action.as_str().unwrap().trim_start_matches("iam:").trim_end_matches('*');
            assert!(["Generate", "Get", "List", "Simulate"].contains(&operation), "{action} is no read");
        }
    }

    #[test]
    fn the_quarantine_policy_exempts_only_freehold_roles() {
        let config = config(&["eu-central-1"]);
        let statements = statements(&quarantine_policy(&config.organization).unwrap());
        assert_eq!(statements[0]["Action"], "*");
        assert!(statements[0]["Condition"]["ArnNotLike"]["aws:PrincipalArn"].to_string().contains(ACCESS_ROLE));
    }

    #[test]
    fn all_regions_fit_into_one_policy() {
        let all: Vec<&str> = Region::all().map(Region::as_str).collect();
        let text = guardrail(&all);
        // Room for the statements of later versions.
        assert!(text.len() < LONGEST_POLICY / 5 * 3, "{} characters", text.len());
        assert!(!text.contains(": ") && !text.contains('\n'), "whitespace counts against the limit");
    }

    #[test]
    fn the_error_of_a_too_long_policy_names_the_policy() {
        let mut config = config(&["eu-central-1"]);
        config.residencies[0].regions = vec!["eu-central-1".parse().unwrap(); 1_000];
        let error = residency_guardrail(&config.residencies[0], &config.organization).unwrap_err();
        assert!(error.to_string().contains("freehold-region-eu"));
        assert!(error.characters > LONGEST_POLICY);
    }

    #[test]
    fn documents_are_compared_by_content() {
        assert!(is_same_json(r#"{"a":1,"b":[2]}"#, "{ \"b\": [2],\n \"a\": 1 }"));
        assert!(!is_same_json(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!is_same_json("not json", "not json"));
    }
}
