//! Permanent refusals of AWS whose cause a person can remove: each with an attention code and a message.

use crate::cloud::{CloudError, CloudErrorKind};
use crate::first_match::FirstMatch;

#[derive(Debug)]
struct Row {
    /// AWS service, `*` for any.
    service: &'static str,
    /// Error code of AWS.
    code: &'static str,
    /// Part of AWS's message, which begins with the reason.
    says: &'static str,
    attention_code: &'static str,
    message: &'static str,
}

static TABLE: FirstMatch<Row> = FirstMatch(&[
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        says: "TAG_POLICY_VIOLATION",
        attention_code: "tag_policy_violated",
        message: "A tag policy of the organisation forbids the tags by which Freehold knows its accounts \
                   (freehold:installation, freehold:tenant, freehold:environment). Allow them, then retry.",
    },
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        says: "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
        attention_code: "policy_limit_reached",
        message: "An OU carries as many service control policies as AWS allows. Detach or merge some, then run `freehold \
                   bootstrap` again.",
    },
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        says: "POLICY_CONTENT_LIMIT_EXCEEDED",
        attention_code: "guardrail_too_long",
        message: "A residency names more regions than one service control policy holds. Split it, then run `freehold \
                   bootstrap` again.",
    },
    Row {
        service: "organizations",
        code: "DestinationParentNotFoundException",
        says: "",
        attention_code: "residency_not_prepared",
        message: "The OU of the residency is gone. Run `freehold bootstrap`, then retry.",
    },
    Row {
        service: "organizations",
        code: "AccountNotFoundException",
        says: "",
        attention_code: "account_missing",
        message: "The account is not in the organisation any more: it was removed, or closed long ago.",
    },
    Row {
        service: "*",
        code: "ServiceQuotaExceededException",
        says: "",
        attention_code: "aws_quota_reached",
        message: "A quota of AWS is used up, and waiting does not raise it. Make room or ask AWS to raise it, then retry.",
    },
    Row {
        service: "*",
        code: "LimitExceededException",
        says: "",
        attention_code: "aws_quota_reached",
        message: "A quota of AWS is used up, and waiting does not raise it. Make room or ask AWS to raise it, then retry.",
    },
    Row {
        service: "cloudformation",
        code: "ValidationError",
        says: "TerminationProtection",
        attention_code: "stack_protected",
        message: "Somebody has protected the stack against deletion. Take the protection away, then retry.",
    },
    Row {
        service: "cloudformation",
        code: "InsufficientCapabilitiesException",
        says: "",
        attention_code: "stack_needs_capabilities",
        message: "The template needs a capability that Freehold does not grant, such as macros. Take out what needs it, \
                   then retry.",
    },
]);

impl Row {
    fn applies(&self, error: &CloudError) -> bool {
        let service = error.call.split(':').next().unwrap_or_default();
        (self.service == "*" || self.service == service)
            && self.code == error.code
            && error.message.contains(self.says)
            && matches!(error.kind, CloudErrorKind::Failed)
    }
}

/// Returns the attention code and message for a known refusal.
pub(crate) fn known(error: &CloudError) -> Option<(&'static str, &'static str)> {
    TABLE.find(|row| row.applies(error)).map(|row| (row.attention_code, row.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an error that the row matches.
    fn example(row: &Row) -> CloudError {
        let call = match row.service {
            "organizations" => "organizations:CreateAccount",
            "cloudformation" => "cloudformation:CreateStack",
            _ => "sso:CreateAccountAssignment",
        };
        let (code, message) = (row.code.to_owned(), format!("{}: no", row.says));
        CloudError { kind: CloudErrorKind::Failed, call, code, message, request_id: None }
    }

    #[test]
    fn every_row_is_needed() {
        TABLE.assert_every_row_is_needed(
            |row, example_of| row.applies(&example(example_of)),
            |row| row.map(|row| (row.attention_code, row.message)),
        );
    }

    #[test]
    fn a_temporary_or_unknown_error_gets_no_attention_code() {
        let error = example(&TABLE.0[0]);
        assert_eq!(known(&CloudError { kind: CloudErrorKind::NotYet, ..error.clone() }), None);
        assert_eq!(known(&CloudError { code: "BrandNewException".to_owned(), ..error }), None);
    }
}
