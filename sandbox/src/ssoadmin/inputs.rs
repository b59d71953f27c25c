//! Input constraints of the simulated operations, taken from the botocore service model `sso-admin`.

use serde_json::Value;

use crate::world::AwsError;
use crate::world::shape::{InputMember, Shape, Violation, ViolationKind, check, matching, optional, required, text};

const INSTANCE_ARN: Shape =
    matching(10, 1_224, r"arn:aws(-[a-z]{1,5}){0,3}:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}");
const PERMISSION_SET_ARN: Shape = matching(
    10,
    1_224,
    r"arn:aws(-[a-z]{1,5}){0,3}:sso:::permissionSet/(sso)?ins-[a-zA-Z0-9-.]{16}/ps-[a-zA-Z0-9-./]{16}",
);
const MANAGED_POLICY_ARN: Shape = matching(
    20,
    2_048,
    r"arn:aws(-[a-z]{1,5}){0,3}:iam::aws:policy((/[A-Za-z0-9\.,\+@=_-]+)*)/([A-Za-z0-9\.,\+=@_-]+)",
);
const TAGGABLE_RESOURCE_ARN: Shape = matching(
    10,
    2_048,
    concat!(
        "arn:aws(-[a-z]{1,5}){0,3}:sso:::(instance/(sso)?ins-[a-zA-Z0-9-.]{16}",
        "|permissionSet/(sso)?ins-[a-zA-Z0-9-.]{16}/ps-[a-zA-Z0-9-./]{16})",
    ),
);
const PERMISSION_SET_NAME: Shape = matching(1, 32, r"[\w+=,.@-]+");
const DESCRIPTION: Shape = matching(1, 700, r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*");
const SESSION_DURATION: Shape = matching(1, 100, r"PT(\d+H)?(\d+M)?(\d+S)?");
const RELAY_STATE: Shape = text(1, 240);
const INLINE_POLICY: Shape = matching(1, 32_768, r"[\u0009\u000A\u000D\u0020-\u00FF]+");
const ACCOUNT_ID: Shape = matching(12, 12, r"\d{12}");
const PRINCIPAL_ID: Shape =
    matching(1, 47, "([0-9a-f]{10}-|)[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}");
const REQUEST_ID: Shape = matching(36, 36, "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
const PRINCIPAL_TYPE: Shape = Shape::OneOf(&["USER", "GROUP"]);
const PROVISIONING_STATUS: Shape =
    Shape::OneOf(&["LATEST_PERMISSION_SET_PROVISIONED", "LATEST_PERMISSION_SET_NOT_PROVISIONED"]);
const ACCOUNT_FILTER: Shape = Shape::Structure(&[optional("AccountId", ACCOUNT_ID)]);
const STATUS_FILTER: Shape =
    Shape::Structure(&[optional("Status", Shape::OneOf(&["IN_PROGRESS", "FAILED", "SUCCEEDED"]))]);
/// Pattern of tag keys and values. AWS allows letters, spaces and digits of any script, and `_.:/=+-@`. For simplicity,
/// the sandbox allows all non-ASCII characters.
const TAG_PATTERN: &str = r"(?:[\w .:/=+\-@]|[^\x00-\x7F])*";
const TAG_KEY: Shape = matching(1, 128, TAG_PATTERN);
const TAGS: Shape =
    Shape::List(75, &Shape::Structure(&[required("Key", TAG_KEY), required("Value", matching(0, 256, TAG_PATTERN))]));

const INSTANCE: InputMember = required("InstanceArn", INSTANCE_ARN);
const PERMISSION_SET: InputMember = required("PermissionSetArn", PERMISSION_SET_ARN);
const NEXT_TOKEN: InputMember = optional("NextToken", matching(0, 2_048, "[-a-zA-Z0-9+=/_]*"));
const MAX_RESULTS: InputMember = optional("MaxResults", Shape::Number { min: 1, max: 100 });

/// Returns the input members of an operation, or `None` if the operation is not simulated.
fn members(operation: &str) -> Option<Vec<InputMember>> {
    Some(match operation {
        "ListInstances" => {
            vec![NEXT_TOKEN, MAX_RESULTS, optional("RegionScope", Shape::OneOf(&["CURRENT_REGION", "ALL_REGIONS"]))]
        }
        "CreatePermissionSet" => vec![
            INSTANCE,
            required("Name", PERMISSION_SET_NAME),
            optional("Description", DESCRIPTION),
            optional("SessionDuration", SESSION_DURATION),
            optional("RelayState", RELAY_STATE),
            optional("Tags", TAGS),
        ],
        "UpdatePermissionSet" => vec![
            INSTANCE,
            PERMISSION_SET,
            optional("Description", DESCRIPTION),
            optional("SessionDuration", SESSION_DURATION),
            optional("RelayState", RELAY_STATE),
        ],
        "DescribePermissionSet"
        | "DeletePermissionSet"
        | "GetInlinePolicyForPermissionSet"
        | "DeleteInlinePolicyFromPermissionSet" => vec![INSTANCE, PERMISSION_SET],
        "ListPermissionSets" => vec![INSTANCE, NEXT_TOKEN, MAX_RESULTS],
        "AttachManagedPolicyToPermissionSet" | "DetachManagedPolicyFromPermissionSet" => {
            vec![INSTANCE, PERMISSION_SET, required("ManagedPolicyArn", MANAGED_POLICY_ARN)]
        }
        "ListManagedPoliciesInPermissionSet" => vec![INSTANCE, PERMISSION_SET, NEXT_TOKEN, MAX_RESULTS],
        "PutInlinePolicyToPermissionSet" => vec![INSTANCE, PERMISSION_SET, required("InlinePolicy", INLINE_POLICY)],
        "TagResource" => {
            vec![
                optional("InstanceArn", INSTANCE_ARN),
                required("ResourceArn", TAGGABLE_RESOURCE_ARN),
                required("Tags", TAGS),
            ]
        }
        "UntagResource" => vec![
            optional("InstanceArn", INSTANCE_ARN),
            required("ResourceArn", TAGGABLE_RESOURCE_ARN),
            required("TagKeys", Shape::List(75, &TAG_KEY)),
        ],
        "ListTagsForResource" => {
            vec![optional("InstanceArn", INSTANCE_ARN), required("ResourceArn", TAGGABLE_RESOURCE_ARN), NEXT_TOKEN]
        }
        "ProvisionPermissionSet" => vec![
            INSTANCE,
            PERMISSION_SET,
            optional("TargetId", ACCOUNT_ID),
            required("TargetType", Shape::OneOf(&["AWS_ACCOUNT", "ALL_PROVISIONED_ACCOUNTS"])),
        ],
        "DescribePermissionSetProvisioningStatus" => {
            vec![INSTANCE, required("ProvisionPermissionSetRequestId", REQUEST_ID)]
        }
        "ListPermissionSetsProvisionedToAccount" => {
            vec![
                INSTANCE,
                required("AccountId", ACCOUNT_ID),
                optional("ProvisioningStatus", PROVISIONING_STATUS),
                NEXT_TOKEN,
                MAX_RESULTS,
            ]
        }
        "ListAccountsForProvisionedPermissionSet" => {
            vec![INSTANCE, PERMISSION_SET, optional("ProvisioningStatus", PROVISIONING_STATUS), NEXT_TOKEN, MAX_RESULTS]
        }
        "CreateAccountAssignment" | "DeleteAccountAssignment" => vec![
            INSTANCE,
            PERMISSION_SET,
            required("TargetId", ACCOUNT_ID),
            required("TargetType", Shape::OneOf(&["AWS_ACCOUNT"])),
            required("PrincipalType", PRINCIPAL_TYPE),
            required("PrincipalId", PRINCIPAL_ID),
        ],
        "DescribeAccountAssignmentCreationStatus" => {
            vec![INSTANCE, required("AccountAssignmentCreationRequestId", REQUEST_ID)]
        }
        "DescribeAccountAssignmentDeletionStatus" => {
            vec![INSTANCE, required("AccountAssignmentDeletionRequestId", REQUEST_ID)]
        }
        "ListAccountAssignmentCreationStatus" | "ListAccountAssignmentDeletionStatus" => {
            vec![INSTANCE, optional("Filter", STATUS_FILTER), NEXT_TOKEN, MAX_RESULTS]
        }
        "ListAccountAssignments" => {
            vec![INSTANCE, required("AccountId", ACCOUNT_ID), PERMISSION_SET, NEXT_TOKEN, MAX_RESULTS]
        }
        "ListAccountAssignmentsForPrincipal" => vec![
            INSTANCE,
            required("PrincipalId", PRINCIPAL_ID),
            required("PrincipalType", PRINCIPAL_TYPE),
            optional("Filter", ACCOUNT_FILTER),
            NEXT_TOKEN,
            MAX_RESULTS,
        ],
        _ => return None,
    })
}

/// Validates the input of an operation. Returns an error for an operation that is not simulated.
pub(super) fn check_input(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members = members(operation).ok_or_else(|| AwsError::unknown_operation(operation))?;
    check(&members, input).map_err(|violation| violation_error(&violation))
}

/// Returns the error that the Identity Center services return if an input violates a constraint.
pub(crate) fn violation_error(violation: &Violation) -> AwsError {
    let Violation { member, kind, constraint } = violation;
    if *kind == ViolationKind::Type {
        return AwsError::serialization(format!("{member}: {constraint}"));
    }
    let member = member.chars().take(1).flat_map(char::to_lowercase).chain(member.chars().skip(1)).collect::<String>();
    AwsError::new(
        "ValidationException",
        format!("1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"),
    )
}
