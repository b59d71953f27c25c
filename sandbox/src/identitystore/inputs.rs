//! The constraints of AWS's service model (botocore, `identitystore`) on the inputs of the operations simulated here.

use serde_json::Value;

use crate::ssoadmin::violated;
use crate::world::AwsError;
use crate::world::shape::{Member, Shape, check, matching, optional, required};

const STORE_ID: Shape = matching(
    1,
    93,
    r"(arn:aws[a-z-]*:identitystore::\d{12}:identitystore/)?(d-[0-9a-f]{10}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
);
const ID: Shape = matching(
    1,
    100,
    "(arn:aws[a-z-]*:identitystore:::(user|group|membership)/)?([0-9a-f]{10}-|)[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}",
);
/// AWS: letters, marks, symbols, numbers and punctuation of any script, blanks, tabs and line ends: no other controls.
const TEXT: Shape = matching(1, 1_024, r"[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]+");
/// The same without blanks.
const USER_NAME: Shape = matching(1, 128, r"[^\x00-\x20\x7F]+");
const PATH: Shape = matching(1, 255, r"[A-Za-z:.]+");
const NAME: Shape = Shape::Structure(&[
    optional("Formatted", TEXT),
    optional("FamilyName", TEXT),
    optional("GivenName", TEXT),
    optional("MiddleName", TEXT),
    optional("HonorificPrefix", TEXT),
    optional("HonorificSuffix", TEXT),
]);
/// One e-mail address a user.
const EMAILS: Shape = Shape::List(1, &Shape::Structure(&[optional("Value", TEXT), optional("Type", TEXT)]));
const FILTERS: Shape =
    Shape::List(1, &Shape::Structure(&[required("AttributePath", PATH), required("AttributeValue", TEXT)]));
const ALTERNATE: Shape = Shape::Structure(&[optional(
    "UniqueAttribute",
    Shape::Structure(&[required("AttributePath", PATH), required("AttributeValue", TEXT)]),
)]);
const MEMBER: Shape = Shape::Structure(&[required("UserId", ID)]);

const STORE: Member = required("IdentityStoreId", STORE_ID);
const TOKEN: Member = optional("NextToken", matching(1, 65_535, "[-a-zA-Z0-9+=/:_]*"));
const MOST: Member = optional("MaxResults", Shape::Number { min: 1, max: 100 });

/// The members of an operation's input; none for an operation that is not simulated.
fn members(operation: &str) -> Option<Vec<Member>> {
    Some(match operation {
        "CreateUser" => vec![
            STORE,
            optional("UserName", USER_NAME),
            optional("Name", NAME),
            optional("DisplayName", TEXT),
            optional("NickName", TEXT),
            optional("Emails", EMAILS),
            optional("UserType", TEXT),
            optional("Title", TEXT),
        ],
        "DescribeUser" | "DeleteUser" => vec![STORE, required("UserId", ID)],
        "GetUserId" | "GetGroupId" => vec![STORE, required("AlternateIdentifier", ALTERNATE)],
        "ListUsers" | "ListGroups" => vec![STORE, optional("Filters", FILTERS), TOKEN, MOST],
        "CreateGroup" => vec![STORE, optional("DisplayName", TEXT), optional("Description", TEXT)],
        "DescribeGroup" | "DeleteGroup" => vec![STORE, required("GroupId", ID)],
        "CreateGroupMembership" | "GetGroupMembershipId" => {
            vec![STORE, required("GroupId", ID), required("MemberId", MEMBER)]
        }
        "ListGroupMemberships" => vec![STORE, required("GroupId", ID), TOKEN, MOST],
        "ListGroupMembershipsForMember" => vec![STORE, required("MemberId", MEMBER), TOKEN, MOST],
        "IsMemberInGroups" => {
            vec![STORE, required("MemberId", MEMBER), required("GroupIds", Shape::List(100, &ID))]
        }
        "DeleteGroupMembership" => vec![STORE, required("MembershipId", ID)],
        _ => return None,
    })
}

/// Checks the input of an operation; an unknown operation is refused as such.
pub(super) fn check_input(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members = members(operation).ok_or_else(|| AwsError::unknown_operation(operation))?;
    check(&members, input).map_err(|violation| violated(&violation))
}
