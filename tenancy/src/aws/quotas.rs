//! AWS limits that no service model contains. They are taken from the user guides of the services.

use std::ops::RangeInclusive;

/// Maximum size in bytes of a template in a request ("Understand CloudFormation quotas").
pub const MAX_TEMPLATE_BYTES: usize = 51_200;

/// Maximum size in bytes of a template in S3 ("Understand CloudFormation quotas", 1 MB; CloudFormation itself reports
/// 1000000 bytes).
pub const MAX_S3_TEMPLATE_BYTES: usize = 1_000_000;

/// Maximum number of parameters of a template ("Understand CloudFormation quotas").
pub const MAX_TEMPLATE_PARAMETERS: usize = 200;

/// Maximum number of resources of a template ("Understand CloudFormation quotas").
pub const MAX_TEMPLATE_RESOURCES: usize = 500;

/// Maximum number of outputs of a template ("Understand CloudFormation quotas").
pub const MAX_TEMPLATE_OUTPUTS: usize = 200;

/// Maximum length of the name of a parameter, an output or a resource ("Understand CloudFormation quotas").
pub const MAX_TEMPLATE_NAME_LENGTH: usize = 255;

/// Maximum size in bytes of the value of a parameter ("Understand CloudFormation quotas").
pub const MAX_PARAMETER_VALUE_BYTES: usize = 4_096;

/// Maximum length of the name of a stack (CreateStack, `StackName`).
pub const MAX_STACK_NAME_LENGTH: usize = 128;

/// Maximum length of an inline policy, not counting whitespace ("IAM Identity Center quotas").
pub const MAX_INLINE_POLICY_CHARACTERS: usize = 10_240;

/// Maximum length of all inline policies of a role together, not counting whitespace ("IAM and AWS STS quotas").
pub const MAX_ROLE_POLICY_CHARACTERS: usize = 10_240;

/// Maximum length of a service control policy, including whitespace ("Quotas for AWS Organizations").
pub const MAX_SERVICE_CONTROL_POLICY_CHARACTERS: usize = 10_240;

/// Permitted duration of an Identity Center session in seconds ("Set session duration for AWS accounts").
pub const ACCESS_SESSION_SECONDS: RangeInclusive<u64> = 3_600..=43_200;

/// Versions of the IAM policy language ("IAM JSON policy elements: Version").
pub const POLICY_VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
