//! Table of the fields of AWS that contain values of a tenant or of the configuration. A message about a refused value
//! names the field that a person can correct, not only AWS's field.

use crate::cloud::CloudError;
use crate::shorten::shorten;

/// Maximum number of characters of AWS's message in which fields are searched, so that an echoed template is left out.
const MAX_SEARCHED_CHARS: usize = 600;

/// Object that an AWS call creates or changes.
struct Object {
    call: &'static str,
    name: &'static str,
    /// Fields of the object: AWS's name, and the field of the tenant or of the configuration.
    fields: &'static [(&'static str, &'static str)],
}

const STACK_FIELDS: &[(&str, &str)] = &[
    ("templateBody", "stack.template"),
    ("template", "stack.template"),
    ("stackName", "stack.name"),
    ("parameters", "stack.parameters"),
];

static OBJECTS: &[Object] = &[
    Object {
        call: "organizations:CreateAccount",
        name: "the account",
        fields: &[("accountName", "company_name"), ("email", "account_email")],
    },
    Object {
        call: "identitystore:CreateUser",
        name: "the Identity Center user of the tenant's admin",
        fields: &[
            ("userName", "admin_email"),
            ("emails", "admin_email"),
            ("displayName", "company_name"),
            ("givenName", "company_name"),
            ("familyName", "company_name"),
        ],
    },
    Object {
        call: "identitystore:GetUserId",
        name: "the search for the tenant's admin",
        fields: &[("attributeValue", "admin_email")],
    },
    Object { call: "cloudformation:CreateStack", name: "the stack", fields: STACK_FIELDS },
    Object { call: "cloudformation:UpdateStack", name: "the stack", fields: STACK_FIELDS },
    Object {
        call: "sso:CreateAccountAssignment",
        name: "the access assignment",
        fields: &[("permissionSetArn", "access.permission_set"), ("principalId", "access.group")],
    },
    Object { call: "account:EnableRegion", name: "the region opt-in", fields: &[("regionName", "home_region")] },
];

/// Returns the object that AWS refused, with the fields that AWS's message names, or with all fields if it names none:
/// `the Identity Center user of the tenant's admin: admin_email (AWS: userName)`. Returns `None` for other calls.
pub(crate) fn refused_object(error: &CloudError) -> Option<String> {
    let object = OBJECTS.iter().find(|object| object.call == error.call)?;
    let message = shorten(&error.message, MAX_SEARCHED_CHARS);
    let names =
        |field: &str| message.split(|c: char| !c.is_ascii_alphanumeric()).any(|one| one.eq_ignore_ascii_case(field));
    let mut named: Vec<_> = object.fields.iter().filter(|(aws, _)| names(aws)).collect();
    if named.is_empty() {
        named = object.fields.iter().collect();
    }
    let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
    for (aws, own) in named {
        match fields.iter_mut().find(|(known, _)| known == own) {
            Some((_, names)) => names.push(aws),
            None => fields.push((own, vec![aws])),
        }
    }
    let fields = fields.into_iter().map(|(own, aws)| format!("{own} (AWS: {})", aws.join(", ")));
    Some(format!("{}: {}", object.name, fields.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::CloudErrorKind;

    fn refused(call: &'static str, message: &str) -> Option<String> {
        refused_object(&CloudError::from_freehold(CloudErrorKind::Failed, call, "", message.to_owned()))
    }

    #[test]
    fn the_field_of_the_tenant_is_named_with_that_of_aws() {
        let message = "1 validation error detected: Value 'x' at 'userName' failed to satisfy constraint: Member must \
                       have length less than or equal to 128";
        assert_eq!(
            refused("identitystore:CreateUser", message).unwrap(),
            "the Identity Center user of the tenant's admin: admin_email (AWS: userName)"
        );
        assert_eq!(
            refused("organizations:CreateAccount", "You provided a value that does not match the required pattern.")
                .unwrap(),
            "the account: company_name (AWS: accountName), account_email (AWS: email)"
        );
        assert_eq!(refused("organizations:MoveAccount", message), None);
    }

    #[test]
    fn every_object_has_its_own_call() {
        for (at, object) in OBJECTS.iter().enumerate() {
            assert!(OBJECTS[..at].iter().all(|other| other.call != object.call), "{}", object.call);
        }
    }
}
