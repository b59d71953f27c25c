//! The service control policies that Freehold keeps: what a tenant's account may never do, whoever asks from inside it.
//!
//! Pure text. `freehold bootstrap` writes it, `enforce-residency` compares it with what is there.

use freehold_tenancy::Region;
use freehold_tenancy::config::{Organization, Residency};
use serde_json::{Value, json};

/// AWS Organizations quotas: a service control policy has at most this many characters.
pub const LONGEST_POLICY: usize = 10_240;

/// The name of the policy on the quarantine OU.
pub const QUARANTINE_POLICY: &str = "freehold-quarantine";

/// The role that deploys; exempt from the region guardrail.
pub const ACCESS_ROLE: &str = "freehold-access";

/// The role that verifies; held by the guardrail as a tenant is.
pub const VERIFY_ROLE: &str = "freehold-verify";

/// Where the services live that have one endpoint for the whole world.
const GLOBAL_REGION: &str = "us-east-1";

/// Services without a home of their own: they answer in us-east-1 (or us-west-2) wherever one works, and hold settings,
/// bills and names rather than a tenant's data. A region guardrail that caught them would break every account.
const GLOBAL_SERVICES: [&str; 32] = [
    "account:*",
    "artifact:*",
    "aws-marketplace:*",
    "aws-portal:*",
    "billing:*",
    "budgets:*",
    "ce:*",
    "cloudfront:*",
    "consolidatedbilling:*",
    "cur:*",
    "freetier:*",
    "globalaccelerator:*",
    "health:*",
    "iam:*",
    "importexport:*",
    "invoicing:*",
    "networkmanager:*",
    "organizations:*",
    "payments:*",
    "pricing:*",
    "route53:*",
    "route53domains:*",
    "s3:ListAllMyBuckets",
    "savingsplans:*",
    "shield:*",
    "sso:*",
    "sts:*",
    "support:*",
    "supportplans:*",
    "tax:*",
    "trustedadvisor:*",
    "waf:*",
];

/// Regional services of which CloudFront uses the part in us-east-1: its certificates and its firewall.
const SERVICES_OF_CLOUDFRONT: [&str; 2] = ["acm:*", "wafv2:*"];

/// Everything that changes a role, or takes it away.
const CHANGES_OF_ROLES: [&str; 14] = [
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:PassRole",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateRoleDescription",
];

/// A policy that AWS would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the guardrail `{name}` has {characters} characters; AWS takes {LONGEST_POLICY}: name fewer regions")]
pub struct TooLong {
    /// The policy's name.
    pub name: String,
    /// Its length.
    pub characters: usize,
}

/// The guardrail of a residency: its regions and nowhere else, no way out of the organisation, no other regions, and
/// hands off Freehold's roles.
pub fn of_residency(residency: &Residency, organization: &Organization) -> Result<String, TooLong> {
    let regions: Vec<&str> = residency.regions.iter().map(|region| Region::as_str(*region)).collect();
    let mut with_global = regions.clone();
    if !with_global.contains(&GLOBAL_REGION) {
        with_global.push(GLOBAL_REGION);
    }
    let elsewhere: Vec<&str> = GLOBAL_SERVICES.into_iter().chain(SERVICES_OF_CLOUDFRONT).collect();
    let unless_exempt = json!({ "aws:PrincipalArn": exempt(organization) });
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyTheseRegions",
                "Effect": "Deny",
                "NotAction": elsewhere,
                "Resource": "*",
                "Condition": {
                    "StringNotEquals": { "aws:RequestedRegion": regions },
                    "ArnNotLike": unless_exempt,
                },
            },
            {
                "Sid": "CloudFrontsPartInItsRegion",
                "Effect": "Deny",
                "Action": SERVICES_OF_CLOUDFRONT,
                "Resource": "*",
                "Condition": {
                    "StringNotEquals": { "aws:RequestedRegion": with_global },
                    "ArnNotLike": unless_exempt,
                },
            },
            {
                "Sid": "StayInTheOrganisation",
                "Effect": "Deny",
                "Action": ["organizations:LeaveOrganization", "account:EnableRegion", "account:DisableRegion"],
                "Resource": "*",
            },
            {
                "Sid": "HandsOffFreeholdsRoles",
                "Effect": "Deny",
                "Action": CHANGES_OF_ROLES,
                "Resource": ["arn:aws:iam::*:role/freehold-*", role(&organization.access_role_name)],
                "Condition": { "ArnNotLike": unless_exempt },
            },
        ],
    });
    minified(&residency.guardrail_name(), &document)
}

/// The policy on the quarantine OU: nobody inside does anything, but Freehold can still take things away.
pub fn of_quarantine(organization: &Organization) -> Result<String, TooLong> {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "NothingAtAll",
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": { "ArnNotLike": { "aws:PrincipalArn": exempt(organization) } },
            },
            {
                "Sid": "StayInTheOrganisation",
                "Effect": "Deny",
                "Action": "organizations:LeaveOrganization",
                "Resource": "*",
            },
        ],
    });
    minified(QUARANTINE_POLICY, &document)
}

/// Whether two documents say the same, however they are laid out.
pub fn same(one: &str, other: &str) -> bool {
    match (serde_json::from_str::<Value>(one), serde_json::from_str::<Value>(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The roles that install the baseline and deploy.
fn exempt(organization: &Organization) -> [String; 2] {
    [role(&organization.access_role_name), role(ACCESS_ROLE)]
}

/// A role of this name and without a path, in any account.
fn role(name: &str) -> String {
    format!("arn:aws:iam::*:role/{name}")
}

/// Blanks count against the limit, so there are none.
fn minified(name: &str, document: &Value) -> Result<String, TooLong> {
    let text = document.to_string();
    match text.chars().count() {
        0..=LONGEST_POLICY => Ok(text),
        characters => Err(TooLong { name: name.to_owned(), characters }),
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
        of_residency(&config.residencies[0], &config.organization).unwrap()
    }

    #[test]
    fn everything_regional_is_denied_outside_the_residency() {
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
    fn certificates_and_firewalls_of_cloudfront_may_be_made_in_us_east_1_and_at_home_only() {
        let part = &statements(&guardrail(&["eu-central-1"]))[1];
        assert_eq!(part["Action"], json!(["acm:*", "wafv2:*"]));
        assert_eq!(part["Condition"]["StringNotEquals"]["aws:RequestedRegion"], json!(["eu-central-1", "us-east-1"]));
        let american = &statements(&guardrail(&["us-east-1"]))[1];
        assert_eq!(american["Condition"]["StringNotEquals"]["aws:RequestedRegion"], json!(["us-east-1"]));
    }

    #[test]
    fn the_bootstrap_role_and_freehold_access_are_exempt_and_freehold_verify_is_not() {
        let text = guardrail(&["eu-central-1"]);
        let exempted = &statements(&text)[0]["Condition"]["ArnNotLike"]["aws:PrincipalArn"];
        assert_eq!(
            *exempted,
            json!(["arn:aws:iam::*:role/OrganizationAccountAccessRole", "arn:aws:iam::*:role/freehold-access"])
        );
        assert!(!text.contains(VERIFY_ROLE));
    }

    #[test]
    fn nobody_inside_leaves_or_changes_regions_and_only_freehold_touches_its_roles() {
        let statements = statements(&guardrail(&["eu-central-1"]));
        assert_eq!(
            statements[2]["Action"],
            json!(["organizations:LeaveOrganization", "account:EnableRegion", "account:DisableRegion"])
        );
        assert!(statements[2].get("Condition").is_none(), "nobody is exempt");
        assert_eq!(
            statements[3]["Resource"],
            json!(["arn:aws:iam::*:role/freehold-*", "arn:aws:iam::*:role/OrganizationAccountAccessRole"])
        );
        assert!(statements[3]["Action"].as_array().unwrap().contains(&json!("iam:UpdateAssumeRolePolicy")));
    }

    #[test]
    fn quarantine_leaves_only_freehold_able_to_act() {
        let config = config(&["eu-central-1"]);
        let statements = statements(&of_quarantine(&config.organization).unwrap());
        assert_eq!(statements[0]["Action"], "*");
        assert!(statements[0]["Condition"]["ArnNotLike"]["aws:PrincipalArn"].to_string().contains(ACCESS_ROLE));
    }

    #[test]
    fn every_region_that_freehold_knows_fits_into_one_policy() {
        let all: Vec<&str> = Region::all().map(Region::as_str).collect();
        let text = guardrail(&all);
        assert!(text.len() < LONGEST_POLICY / 2, "{} characters", text.len());
        assert!(!text.contains(": ") && !text.contains('\n'), "blanks count against the limit");
    }

    #[test]
    fn a_policy_that_aws_would_not_take_is_refused_by_name() {
        let mut config = config(&["eu-central-1"]);
        config.residencies[0].regions = vec!["eu-central-1".parse().unwrap(); 1_000];
        let refused = of_residency(&config.residencies[0], &config.organization).unwrap_err();
        assert!(refused.to_string().contains("freehold-region-eu"));
        assert!(refused.characters > LONGEST_POLICY);
    }

    #[test]
    fn documents_are_compared_by_what_they_say() {
        assert!(same(r#"{"a":1,"b":[2]}"#, "{ \"b\": [2],\n \"a\": 1 }"));
        assert!(!same(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same("not json", "not json"));
    }
}
