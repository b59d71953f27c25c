//! Input constraints of the simulated operations, taken from the botocore service model `identitystore`.

use serde_json::Value;

use crate::ssoadmin::violation_error;
use crate::world::AwsError;
use crate::world::shape::{InputMember, Shape, check, matching, optional, required};

const STORE_ID: Shape = matching(
    1,
    93,
    concat!(
        r"(arn:aws[a-z-]*:identitystore::\d{12}:identitystore/)?",
        "(d-[0-9a-f]{10}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
    ),
);
const RESOURCE_ID: Shape = matching(
    1,
    100,
    concat!(
        "(arn:aws[a-z-]*:identitystore:::(user|group|membership)/)?",
        "([0-9a-f]{10}-|)[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}",
    ),
);
/// Characters that AWS refuses in a text: control characters, format characters such as joiners, and private
/// characters. The service model lists the accepted categories, which the regular expressions of the simulation do not
/// know.
macro_rules! refused_characters {
    () => {
        concat!(
            r"\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\x{AD}\x{600}-\x{605}\x{61C}\x{6DD}\x{70F}\x{890}\x{891}\x{8E2}",
            r"\x{1680}\x{180E}\x{2000}-\x{200F}\x{2028}-\x{202F}\x{205F}-\x{206F}\x{E000}-\x{F8FF}\x{FEFF}",
            r"\x{FFF9}-\x{FFFB}\x{110BD}\x{110CD}\x{13430}-\x{1343F}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}",
            r"\x{E0001}-\x{E007F}\x{F0000}-\x{10FFFF}",
        )
    };
}

const TEXT: Shape = matching(1, 1_024, concat!("[^", refused_characters!(), "]+"));
/// Text without white space.
const USER_NAME: Shape = matching(1, 128, concat!(r"[^\t\n\r \x{A0}\x{3000}", refused_characters!(), "]+"));
const ATTRIBUTE_PATH: Shape = matching(1, 255, r"[A-Za-z:.]+");
const PERSON_NAME: Shape = Shape::Structure(&[
    optional("Formatted", TEXT),
    optional("FamilyName", TEXT),
    optional("GivenName", TEXT),
    optional("MiddleName", TEXT),
    optional("HonorificPrefix", TEXT),
    optional("HonorificSuffix", TEXT),
]);
/// List of e-mail addresses; AWS allows one per user.
const EMAILS: Shape = Shape::List(1, &Shape::Structure(&[optional("Value", TEXT), optional("Type", TEXT)]));
const FILTERS: Shape =
    Shape::List(1, &Shape::Structure(&[required("AttributePath", ATTRIBUTE_PATH), required("AttributeValue", TEXT)]));
const ALTERNATE_IDENTIFIER: Shape = Shape::Structure(&[optional(
    "UniqueAttribute",
    Shape::Structure(&[required("AttributePath", ATTRIBUTE_PATH), required("AttributeValue", TEXT)]),
)]);
const MEMBER_ID: Shape = Shape::Structure(&[required("UserId", RESOURCE_ID)]);

const IDENTITY_STORE: InputMember = required("IdentityStoreId", STORE_ID);
const NEXT_TOKEN: InputMember = optional("NextToken", matching(1, 65_535, "[-a-zA-Z0-9+=/:_]*"));
const MAX_RESULTS: InputMember = optional("MaxResults", Shape::Number { min: 1, max: 100 });

/// Returns the input members of an operation, or `None` if the operation is not simulated.
fn members(operation: &str) -> Option<Vec<InputMember>> {
    Some(match operation {
        "CreateUser" => vec![
            IDENTITY_STORE,
            optional("UserName", USER_NAME),
            optional("Name", PERSON_NAME),
            optional("DisplayName", TEXT),
            optional("NickName", TEXT),
            optional("Emails", EMAILS),
            optional("UserType", TEXT),
            optional("Title", TEXT),
        ],
        "DescribeUser" | "DeleteUser" => vec![IDENTITY_STORE, required("UserId", RESOURCE_ID)],
        "GetUserId" | "GetGroupId" => vec![IDENTITY_STORE, required("AlternateIdentifier", ALTERNATE_IDENTIFIER)],
        "ListUsers" | "ListGroups" => vec![IDENTITY_STORE, optional("Filters", FILTERS), NEXT_TOKEN, MAX_RESULTS],
        "CreateGroup" => vec![IDENTITY_STORE, optional("DisplayName", TEXT), optional("Description", TEXT)],
        "DescribeGroup" | "DeleteGroup" => vec![IDENTITY_STORE, required("GroupId", RESOURCE_ID)],
        "CreateGroupMembership" | "GetGroupMembershipId" => {
            vec![IDENTITY_STORE, required("GroupId", RESOURCE_ID), required("MemberId", MEMBER_ID)]
        }
        "ListGroupMemberships" => vec![IDENTITY_STORE, required("GroupId", RESOURCE_ID), NEXT_TOKEN, MAX_RESULTS],
        "ListGroupMembershipsForMember" => {
            vec![IDENTITY_STORE, required("MemberId", MEMBER_ID), NEXT_TOKEN, MAX_RESULTS]
        }
        "IsMemberInGroups" => {
            vec![IDENTITY_STORE, required("MemberId", MEMBER_ID), required("GroupIds", Shape::List(100, &RESOURCE_ID))]
        }
        "DeleteGroupMembership" => vec![IDENTITY_STORE, required("MembershipId", RESOURCE_ID)],
        _ => return None,
    })
}

/// Validates the input of an operation. Returns an error for an operation that is not simulated.
pub(super) fn check_input(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members = members(operation).ok_or_else(|| AwsError::unknown_operation(operation))?;
    check(&members, input).map_err(|violation| violation_error(&violation))
}
