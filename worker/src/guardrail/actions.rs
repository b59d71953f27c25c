//! Actions that the statements of the guardrail name.

/// Global services, with endpoints in us-east-1 or us-west-2. They store settings, bills and names, but no tenant
/// data. A region guardrail that denied them would make every account unusable.
pub(super) const GLOBAL_SERVICES: [&str; 32] = [
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

/// Regional services that CloudFront uses in us-east-1, for certificates and firewalls.
pub(super) const CLOUDFRONT_SERVICES: [&str; 2] = ["acm:*", "wafv2:*"];

/// Actions that make requests pass through edge locations all over the world.
pub(super) const EDGE_CREATIONS: [&str; 2] = ["cloudfront:Create*", "globalaccelerator:Create*"];

/// Changes of CloudFront resources with which a tenant could redirect or stop the front door.
pub(super) const DISTRIBUTION_CHANGES: [&str; 5] = [
    "cloudfront:AssociateAlias",
    "cloudfront:DeleteDistribution",
    "cloudfront:TagResource",
    "cloudfront:UntagResource",
    "cloudfront:UpdateDistribution*",
];

/// Changes of origin access controls, which have no tags by which those of Freehold could be told from others.
pub(super) const ACCESS_CONTROL_CHANGES: [&str; 2] =
    ["cloudfront:DeleteOriginAccessControl", "cloudfront:UpdateOriginAccessControl"];

/// Reads of CloudFormation, which a tenant may make on Freehold's stacks.
pub(super) const STACK_READS: [&str; 5] = [
    "cloudformation:Describe*",
    "cloudformation:Detect*",
    "cloudformation:Estimate*",
    "cloudformation:Get*",
    "cloudformation:List*",
];

/// Actions of CloudFormation without a stack as their resource, with which a tenant could change or block Freehold's
/// stacks.
pub(super) const STACK_REFACTORS: [&str; 2] =
    ["cloudformation:CreateStackRefactor", "cloudformation:ExecuteStackRefactor"];

/// Actions that make a hook reject the deletion of stacks. AWS authorises some of them without the type of the hook as
/// their resource, so they are denied for all types of extensions.
pub(super) const HOOK_CHANGES: [&str; 5] = [
    "cloudformation:ActivateType",
    "cloudformation:PublishType",
    "cloudformation:RegisterType",
    "cloudformation:SetTypeConfiguration",
    "cloudformation:SetTypeDefaultVersion",
];

/// Reads and invocations of functions.
pub(super) const FUNCTION_USES: [&str; 3] = ["lambda:Get*", "lambda:Invoke*", "lambda:List*"];

/// Reads of roles and policies.
pub(super) const IAM_READS: [&str; 4] = ["iam:Generate*", "iam:Get*", "iam:List*", "iam:Simulate*"];

/// Reads of log groups. Every other action could delete a log group, make its deletion fail or change its contents.
pub(super) const LOG_READS: [&str; 8] = [
    "logs:Describe*",
    "logs:Filter*",
    "logs:Get*",
    "logs:List*",
    "logs:StartLiveTail",
    "logs:StartQuery",
    "logs:StopLiveTail",
    "logs:StopQuery",
];

/// Actions on the account itself that only Freehold and AWS may cause.
pub(super) const ACCOUNT_CHANGES: [&str; 10] = [
    "account:AcceptPrimaryEmailUpdate",
    "account:CloseAccount",
    "account:DeleteAlternateContact",
    "account:DisableRegion",
    "account:EnableRegion",
    "account:PutAccountName",
    "account:PutAlternateContact",
    "account:PutContactInformation",
    "account:StartPrimaryEmailUpdate",
    "organizations:LeaveOrganization",
];
