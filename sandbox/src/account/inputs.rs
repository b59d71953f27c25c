//! Input constraints of the simulated operations, taken from the botocore service model `account`.

use serde_json::{Value, json};

use crate::world::AwsError;
use crate::world::shape::{InputMember, Shape, Violation, ViolationKind, check, matching, optional, required, text};

const ACCOUNT_ID: InputMember = optional("AccountId", matching(0, 12, r"\d{12}"));
const REGION_NAME: InputMember = required("RegionName", text(1, 50));
const CONTACT_TYPE: InputMember =
    required("AlternateContactType", Shape::OneOf(&["BILLING", "OPERATIONS", "SECURITY"]));
const OPT_IN_STATUS: Shape = Shape::OneOf(&["ENABLED", "ENABLING", "DISABLING", "DISABLED", "ENABLED_BY_DEFAULT"]);

fn members(operation: &str) -> Option<Vec<InputMember>> {
    Some(match operation {
        "EnableRegion" | "GetRegionOptStatus" => vec![ACCOUNT_ID, REGION_NAME],
        "ListRegions" => vec![
            ACCOUNT_ID,
            optional("MaxResults", Shape::Number { min: 1, max: 50 }),
            optional("NextToken", text(0, 1_000)),
            optional("RegionOptStatusContains", Shape::List(usize::MAX, &OPT_IN_STATUS)),
        ],
        "GetAlternateContact" | "DeleteAlternateContact" => vec![ACCOUNT_ID, CONTACT_TYPE],
        "PutAlternateContact" => vec![
            ACCOUNT_ID,
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
    if violation.kind == ViolationKind::Type {
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
