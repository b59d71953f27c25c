//! Input constraints of the simulated operations, taken from the botocore service model `organizations`.

use serde_json::Value;

use crate::world::AwsError;
use crate::world::shape::{InputMember, Shape, Violation, ViolationKind, check, matching, optional, required, text};

const ACCOUNT_ID: Shape = matching(0, 12, r"\d{12}");
const ROOT_ID: Shape = matching(0, 34, "r-[0-9a-z]{4,32}");
const OU_ID: Shape = matching(0, 68, "ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}");
const PARENT_ID: Shape = matching(0, 100, "r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}");
const CHILD_ID: Shape = matching(0, 100, r"\d{12}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}");
const TARGET_ID: Shape = matching(0, 100, r"r-[0-9a-z]{4,32}|\d{12}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}");
const TAGGABLE_RESOURCE_ID: Shape =
    matching(0, 130, r"r-[0-9a-z]{4,32}|\d{12}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|r?[pt]?-[0-9a-zA-Z_]{4,128}");
const POLICY_ID: Shape = matching(0, 130, "p-[0-9a-zA-Z_]{8,128}");
const CREATE_ACCOUNT_REQUEST_ID: Shape = matching(0, 36, "car-[a-z0-9]{8,32}");
const EMAIL: Shape = matching(6, 64, r"[^\s@]+@[^\s@]+\.[^\s@]+");
const ACCOUNT_NAME: Shape = matching(1, 50, r"[\x20-\x7E]+");
const ROLE_NAME: Shape = matching(0, 64, r"[\w+=,.@-]{1,64}");
/// Pattern of tag keys and values. AWS allows letters, spaces and digits of any script, and `_.:/=+-@`. For simplicity,
/// the sandbox allows all non-ASCII characters.
const TAG_PATTERN: &str = r"(?:[\w .:/=+\-@]|[^\x00-\x7F])*";
const TAG_KEY: Shape = matching(1, 128, TAG_PATTERN);
const TAG_VALUE: Shape = matching(0, 256, TAG_PATTERN);
const TAGS: Shape =
    Shape::List(usize::MAX, &Shape::Structure(&[required("Key", TAG_KEY), required("Value", TAG_VALUE)]));
const POLICY_TYPE: Shape = Shape::OneOf(&[
    "SERVICE_CONTROL_POLICY",
    "RESOURCE_CONTROL_POLICY",
    "TAG_POLICY",
    "BACKUP_POLICY",
    "AISERVICES_OPT_OUT_POLICY",
    "CHATBOT_POLICY",
    "DECLARATIVE_POLICY_EC2",
    "SECURITYHUB_POLICY",
    "INSPECTOR_POLICY",
    "UPGRADE_ROLLOUT_POLICY",
    "BEDROCK_POLICY",
    "S3_POLICY",
    "NETWORK_SECURITY_DIRECTOR_POLICY",
    "GUARDDUTY_POLICY",
]);
const CREATE_ACCOUNT_STATE: Shape = Shape::OneOf(&["IN_PROGRESS", "SUCCEEDED", "FAILED"]);
const CHILD_TYPE: Shape = Shape::OneOf(&["ACCOUNT", "ORGANIZATIONAL_UNIT"]);
const SERVICE_PRINCIPAL: Shape = matching(1, 128, r"[\w+=,.@-]*");
const POLICY_CONTENT: Shape = text(1, usize::MAX);
const NAME: Shape = text(1, 128);
const DESCRIPTION: Shape = text(0, 512);
const NEXT_TOKEN: InputMember = optional("NextToken", text(0, 100_000));
const MAX_RESULTS: InputMember = optional("MaxResults", Shape::Number { min: 1, max: 20 });

/// Returns the input members of an operation, or `None` if the operation is not simulated.
fn members(operation: &str) -> Option<Vec<InputMember>> {
    Some(match operation {
        "DescribeOrganization" => vec![],
        "ListRoots" | "ListAccounts" | "ListAWSServiceAccessForOrganization" => vec![NEXT_TOKEN, MAX_RESULTS],
        "CreateAccount" => vec![
            required("Email", EMAIL),
            required("AccountName", ACCOUNT_NAME),
            optional("RoleName", ROLE_NAME),
            optional("IamUserAccessToBilling", Shape::OneOf(&["ALLOW", "DENY"])),
            optional("Tags", TAGS),
        ],
        "DescribeCreateAccountStatus" => vec![required("CreateAccountRequestId", CREATE_ACCOUNT_REQUEST_ID)],
        "ListCreateAccountStatus" => {
            vec![optional("States", Shape::List(usize::MAX, &CREATE_ACCOUNT_STATE)), NEXT_TOKEN, MAX_RESULTS]
        }
        "DescribeAccount" | "CloseAccount" | "RemoveAccountFromOrganization" => vec![required("AccountId", ACCOUNT_ID)],
        "MoveAccount" => vec![
            required("AccountId", ACCOUNT_ID),
            required("SourceParentId", PARENT_ID),
            required("DestinationParentId", PARENT_ID),
        ],
        "ListParents" => vec![required("ChildId", CHILD_ID), NEXT_TOKEN, MAX_RESULTS],
        "ListChildren" => {
            vec![required("ParentId", PARENT_ID), required("ChildType", CHILD_TYPE), NEXT_TOKEN, MAX_RESULTS]
        }
        "ListAccountsForParent" | "ListOrganizationalUnitsForParent" => {
            vec![required("ParentId", PARENT_ID), NEXT_TOKEN, MAX_RESULTS]
        }
        "CreateOrganizationalUnit" => {
            vec![required("ParentId", PARENT_ID), required("Name", NAME), optional("Tags", TAGS)]
        }
        "DescribeOrganizationalUnit" => vec![required("OrganizationalUnitId", OU_ID)],
        "CreatePolicy" => vec![
            required("Content", POLICY_CONTENT),
            required("Description", DESCRIPTION),
            required("Name", NAME),
            required("Type", POLICY_TYPE),
            optional("Tags", TAGS),
        ],
        "UpdatePolicy" => vec![
            required("PolicyId", POLICY_ID),
            optional("Name", NAME),
            optional("Description", DESCRIPTION),
            optional("Content", POLICY_CONTENT),
        ],
        "DescribePolicy" | "DeletePolicy" => vec![required("PolicyId", POLICY_ID)],
        "ListPolicies" => vec![required("Filter", POLICY_TYPE), NEXT_TOKEN, MAX_RESULTS],
        "ListPoliciesForTarget" => {
            vec![required("TargetId", TARGET_ID), required("Filter", POLICY_TYPE), NEXT_TOKEN, MAX_RESULTS]
        }
        "ListTargetsForPolicy" => vec![required("PolicyId", POLICY_ID), NEXT_TOKEN, MAX_RESULTS],
        "AttachPolicy" | "DetachPolicy" => vec![required("PolicyId", POLICY_ID), required("TargetId", TARGET_ID)],
        "EnablePolicyType" => vec![required("RootId", ROOT_ID), required("PolicyType", POLICY_TYPE)],
        "TagResource" => vec![required("ResourceId", TAGGABLE_RESOURCE_ID), required("Tags", TAGS)],
        "UntagResource" => {
            vec![required("ResourceId", TAGGABLE_RESOURCE_ID), required("TagKeys", Shape::List(usize::MAX, &TAG_KEY))]
        }
        "ListTagsForResource" => vec![required("ResourceId", TAGGABLE_RESOURCE_ID), NEXT_TOKEN],
        "EnableAWSServiceAccess" | "DisableAWSServiceAccess" => vec![required("ServicePrincipal", SERVICE_PRINCIPAL)],
        _ => return None,
    })
}

/// Validates the input of an operation. Returns an error for an operation that is not simulated.
pub(super) fn check_input(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members = members(operation).ok_or_else(|| AwsError::unknown_operation(operation))?;
    check(&members, input).map_err(|violation| invalid_input(&violation))
}

fn invalid_input(violation: &Violation) -> AwsError {
    let reason = match violation.kind {
        ViolationKind::Type => {
            return AwsError::serialization(format!("{}: {}", violation.member, violation.constraint));
        }
        ViolationKind::Required => "INPUT_REQUIRED",
        ViolationKind::TooShort => "MIN_LENGTH_EXCEEDED",
        ViolationKind::TooLong => "MAX_LENGTH_EXCEEDED",
        ViolationKind::Pattern => "INVALID_PATTERN",
        ViolationKind::Enum => "INVALID_ENUM",
        ViolationKind::TooSmall => "MIN_VALUE_EXCEEDED",
        ViolationKind::TooLarge => "MAX_VALUE_EXCEEDED",
    };
    let message = match violation.kind {
        ViolationKind::Pattern if violation.member == "NextToken" => "You specified an invalid NextToken.".to_owned(),
        _ => format!("You specified an invalid value for {}: {}.", violation.member, violation.constraint),
    };
    AwsError::new("InvalidInputException", message).reason(reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(operation: &str, input: &Value) -> Option<String> {
        let error = check_input(operation, input).err()?;
        assert_eq!(error.code, "InvalidInputException");
        Some(error.members["Reason"].as_str().unwrap().to_owned())
    }

    #[test]
    fn create_account_checks_lengths_and_patterns_of_the_model() {
        let with = |email: &str, name: &str| json!({ "Email": email, "AccountName": name });
        assert_eq!(reason("CreateAccount", &with("a@example.com", "Example")), None);
        assert_eq!(reason("CreateAccount", &with("a@b.c", "Example")).as_deref(), Some("MIN_LENGTH_EXCEEDED"));
        let long = format!("{}@example.com", "a".repeat(53));
        assert_eq!(reason("CreateAccount", &with(&long, "Example")).as_deref(), Some("MAX_LENGTH_EXCEEDED"));
        assert_eq!(reason("CreateAccount", &with("a b@example.com", "x")).as_deref(), Some("INVALID_PATTERN"));
        assert_eq!(reason("CreateAccount", &with("a@example.com", "Grüße")).as_deref(), Some("INVALID_PATTERN"));
        assert_eq!(reason("CreateAccount", &json!({ "AccountName": "x" })).as_deref(), Some("INPUT_REQUIRED"));
        let tagged = json!({ "Email": "a@example.com", "AccountName": "x", "Tags": [{ "Key": "a*", "Value": "" }] });
        assert_eq!(reason("CreateAccount", &tagged).as_deref(), Some("INVALID_PATTERN"));
    }

    #[test]
    fn ids_must_match_the_pattern_of_their_kind() {
        assert_eq!(
            reason("DescribeAccount", &json!({ "AccountId": "12345678901" })).as_deref(),
            Some("INVALID_PATTERN")
        );
        for id in ["r-ab12", "ou-ab12-12345678", "111122223333", "p-FullAWSAccess"] {
            assert_eq!(reason("ListTagsForResource", &json!({ "ResourceId": id })), None, "{id}");
        }
        assert_eq!(reason("ListParents", &json!({ "ChildId": "r-ab12" })).as_deref(), Some("INVALID_PATTERN"));
        assert_eq!(reason("ListAccounts", &json!({ "MaxResults": 21 })).as_deref(), Some("MAX_VALUE_EXCEEDED"));
    }
}
