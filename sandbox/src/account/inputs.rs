//! Input constraints of the simulated operations, taken from the botocore service model `account`.

use serde_json::{Value, json};

use crate::world::AwsError;
use crate::world::shape::{Kind, Member, Shape, Violation, check, matching, optional, required, text};

const ACCOUNT: Member = optional("AccountId", matching(0, 12, r"\d{12}"));
const REGION: Member = required("RegionName", text(1, 50));
const CONTACT_TYPE: Member = required("AlternateContactType", Shape::OneOf(&["BILLING", "OPERATIONS", "SECURITY"]));
const STATUS: Shape = Shape::OneOf(&["ENABLED", "ENABLING", "DISABLING", "DISABLED", "ENABLED_BY_DEFAULT"]);

fn members(operation: &str) -> Option<Vec<Member>> {
    Some(match operation {
        "EnableRegion" | "GetRegionOptStatus" => vec![ACCOUNT, REGION],
        "ListRegions" => vec![
            ACCOUNT,
            optional("MaxResults", Shape::Number { min: 1, max: 50 }),
            optional("NextToken", text(0, 1_000)),
            optional("RegionOptStatusContains", Shape::List(usize::MAX, &STATUS)),
        ],
        "GetAlternateContact" | "DeleteAlternateContact" => vec![ACCOUNT, CONTACT_TYPE],
        "PutAlternateContact" => vec![
            ACCOUNT,
            CONTACT_TYPE,
            required("Name", text(1, 64)),
            required("Title", text(1, 50)),
            required("EmailAddress", matching(1, 254, r"[\s]*[\w+=.#|!&-]+@[\w.-]+\.[\w]+[\s]*")),
            required("PhoneNumber", matching(1, 25, r"[\s0-9()+-]+")),
        ],
        _ => return None,
    })
}

/// Validates the input of an operation. Returns an error for an operation that is not simulated.
pub(super) fn check_input(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members = members(operation).ok_or_else(|| AwsError::unknown_operation(operation).status(404))?;
    check(&members, input).map_err(|violation| invalid(&violation))
}

fn invalid(violation: &Violation) -> AwsError {
    if violation.kind == Kind::Type {
        return AwsError::serialization(violation.constraint.clone());
    }
    let message = format!(
        "1 validation error detected: Value at '{}' failed to satisfy constraint: {}",
        violation.member, violation.constraint
    );
    AwsError::new("ValidationException", message)
        .with("reason", "fieldValidationFailed")
        .with("fieldList", json!([{ "name": violation.member, "message": violation.constraint }]))
}
