//! Classification of failures of the tenant stack: faults of the template affect every tenant, all other failures
//! belong to one tenant.

use freehold_tenancy::Region;
use freehold_tenancy::db::fleet_holds::templates::TemplateFault;

use crate::cloud::{CloudError, CloudErrorKind};
use crate::first_match::FirstMatch;

/// Failure that the template causes for every tenant, independently of the tenant's values.
#[derive(Debug)]
struct FaultRow {
    /// Text that AWS's message must contain.
    words: &'static str,
    /// Whether the fault can exist in a single region.
    is_regional: bool,
}

const fn fault(words: &'static str) -> FaultRow {
    FaultRow { words, is_regional: false }
}

/// Messages with which CloudFormation rejects a template in the request. A message without a row may depend on the
/// values of one tenant, for example "Parameter 'Tier' must be one of AllowedValues".
static REJECTIONS: FirstMatch<FaultRow> = FirstMatch(&[
    FaultRow { words: "Unrecognized resource types", is_regional: true },
    fault("Template format error"),
    fault("Template error"),
    fault("Template validation error"),
    fault("Circular dependency"),
    fault("Invalid template"),
    fault("must have values"),
    fault("do not exist in the template"),
    fault("Requires capabilities"),
    fault("at 'templateBody' failed to satisfy constraint"),
    fault("Template may not exceed"),
    fault("TemplateURL must be"),
    FaultRow { words: "S3 error: ", is_regional: true },
]);

/// Reasons with which a resource fails because of the text of the template.
static RESOURCE_FAILURES: FirstMatch<FaultRow> = FirstMatch(&[
    fault("Encountered unsupported property"),
    fault("extraneous key ["),
    fault("required key ["),
    fault("does not exist in schema"),
    FaultRow { words: "is no longer supported for creating or updating AWS Lambda functions", is_regional: true },
]);

/// Returns the fault if CloudFormation rejects the template for every tenant.
pub(in crate::steps) fn of_rejection(error: &CloudError) -> Option<TemplateFault> {
    let is_rejection = error.kind == CloudErrorKind::Failed
        && matches!(error.code.as_str(), "ValidationError" | "InsufficientCapabilitiesException");
    let row = is_rejection.then(|| REJECTIONS.find(|row| error.message.contains(row.words))).flatten()?;
    Some(TemplateFault {
        message: format!("CloudFormation rejects the template: {}", error.message),
        is_regional: row.is_regional,
    })
}

/// Returns the fault if a resource failed because of the text of the template. `reason` starts with the name of the
/// resource.
pub(in crate::steps) fn of_resource(reason: &str) -> Option<TemplateFault> {
    let row = RESOURCE_FAILURES.find(|row| reason.contains(row.words))?;
    let message = format!("CloudFormation cannot create the stack, because the resource {reason}");
    Some(TemplateFault { message, is_regional: row.is_regional })
}

/// Returns the fault of a template without the output that the check of the stack needs.
pub(in crate::steps) fn of_missing_output(output: &str) -> TemplateFault {
    TemplateFault {
        message: format!("The template has no output `{output}`, which the check of the stack needs."),
        is_regional: false,
    }
}

/// Returns the fault of a template whose output is not a Function URL.
pub(in crate::steps) fn of_wrong_url(output: &str, region: Region) -> TemplateFault {
    TemplateFault {
        message: format!(
            "The output `{output}` must be a Function URL of {region}, such as \
             https://abc123.lambda-url.{region}.on.aws/; Freehold sends its signed request to no other address."
        ),
        is_regional: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ErrorOrigin;

    fn rejection(code: &str, message: &str) -> Option<bool> {
        let error = CloudError {
            kind: CloudErrorKind::Failed,
            origin: ErrorOrigin::Aws,
            call: "cloudformation:CreateStack",
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
        };
        of_rejection(&error).map(|fault| fault.is_regional)
    }

    #[test]
    fn a_rejected_template_is_told_from_a_rejected_value() {
        for message in [
            "Template format error: Unresolved resource dependencies [X] in the Resources block of the template",
            "Template error: instance of Fn::GetAtt references undefined resource X",
            "Parameters: [Bucket] must have values",
            "Parameters: [Bucket] do not exist in the template",
            "Circular dependency between resources: [A, B]",
        ] {
            assert_eq!(rejection("ValidationError", message), Some(false), "{message}");
        }
        assert_eq!(
            rejection("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_AUTO_EXPAND]"),
            Some(false)
        );
        let types = "Template format error: Unrecognized resource types: [AWS::Lambda::Url]";
        assert_eq!(rejection("ValidationError", types), Some(true));
        for (code, message) in [
            ("ValidationError", "Parameter 'Tier' must be one of AllowedValues"),
            ("ValidationError", "Parameter EnvironmentName failed to satisfy constraint: at most 4 characters"),
            (
                "ValidationError",
                "Stack:arn:aws:cloudformation:x is in DELETE_IN_PROGRESS state and can not be updated.",
            ),
            ("LimitExceededException", "Limit for stack has been exceeded"),
            ("ValidationError", "A message of next year"),
        ] {
            assert_eq!(rejection(code, message), None, "{message}");
        }
    }

    #[test]
    fn a_denied_or_full_resource_belongs_to_one_tenant() {
        assert!(of_resource("Function: Encountered unsupported property Runtim").is_some());
        assert!(of_resource("Queue: Properties validation failed with message: #: required key [Name] not").is_some());
        for reason in [
            "Function: User is not authorized to perform: lambda:CreateFunction with an explicit deny",
            "Bucket: The requested bucket name is not available",
            "Function: Specified ReservedConcurrentExecutions decreases account's UnreservedConcurrentExecution",
            "Function: Internal Failure",
        ] {
            assert_eq!(of_resource(reason), None, "{reason}");
        }
    }
}
