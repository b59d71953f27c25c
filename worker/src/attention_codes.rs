//! Table of permanent AWS errors that a person can fix, each with its attention code and message.

use freehold_tenancy::attention::AttentionCode;

use crate::aws::{ACCOUNT_NOT_OWN, GROUP_NOT_OWN};
use crate::cloud::{CloudError, CloudErrorKind};
use crate::first_match::FirstMatch;

#[derive(Debug)]
struct Row {
    /// Service prefix of the AWS call, such as `organizations`; `*` matches every service.
    service: &'static str,
    /// Error code in AWS's response.
    code: &'static str,
    /// Text that AWS's error message must contain. The message starts with AWS's reason.
    message_contains: &'static str,
    attention_code: AttentionCode,
    message: &'static str,
}

static TABLE: FirstMatch<Row> = FirstMatch(&[
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        message_contains: "TAG_POLICY_VIOLATION",
        attention_code: AttentionCode::TagPolicyViolated,
        message: "A tag policy of the organisation forbids the tags of Freehold's accounts (all keys that start with \
                   freehold:). Allow them, then retry.",
    },
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        message_contains: "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
        attention_code: AttentionCode::PolicyLimitReached,
        message: "An OU has the maximum number of service control policies. Detach or merge policies, then run \
                  `freehold bootstrap` again.",
    },
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        message_contains: "POLICY_CONTENT_LIMIT_EXCEEDED",
        attention_code: AttentionCode::GuardrailTooLong,
        message: "A residency has more regions than one service control policy can contain. Split the residency, then \
                  run `freehold bootstrap` again.",
    },
    Row {
        service: "organizations",
        code: "DestinationParentNotFoundException",
        message_contains: "",
        attention_code: AttentionCode::ResidencyNotPrepared,
        message: "The OU of the residency no longer exists. Run `freehold bootstrap`, then retry.",
    },
    Row {
        service: "organizations",
        code: "AccountNotFoundException",
        message_contains: "",
        attention_code: AttentionCode::AccountMissing,
        message: "The account is no longer in the organisation. Invite it back, then retry; otherwise cancel or \
                  offboard.",
    },
    Row {
        service: "organizations",
        code: "ChildNotFoundException",
        message_contains: "",
        attention_code: AttentionCode::AccountMissing,
        message: "The account is no longer in the organisation. Invite it back, then retry; otherwise cancel or \
                  offboard.",
    },
    Row {
        service: "*",
        code: ACCOUNT_NOT_OWN,
        message_contains: "",
        attention_code: AttentionCode::AccountNotOurs,
        message: "The account does not have the tags of this environment and installation. Find out who owns the \
                  account and correct its tags, then retry.",
    },
    Row {
        service: "*",
        code: GROUP_NOT_OWN,
        message_contains: "",
        attention_code: AttentionCode::GroupNotOurs,
        message: "Freehold changes only groups of Identity Center that it created. Delete or rename the group of this \
                  name, then retry.",
    },
    Row {
        service: "*",
        code: "ServiceQuotaExceededException",
        message_contains: "",
        attention_code: AttentionCode::AwsQuotaReached,
        message: "An AWS quota is exhausted and does not reset by itself. Free capacity or request an increase, then \
                  retry.",
    },
    Row {
        service: "*",
        code: "LimitExceededException",
        message_contains: "",
        attention_code: AttentionCode::AwsQuotaReached,
        message: "An AWS quota is exhausted and does not reset by itself. Free capacity or request an increase, then \
                  retry.",
    },
    Row {
        service: "cloudformation",
        code: "ValidationError",
        message_contains: "TerminationProtection",
        attention_code: AttentionCode::StackProtected,
        message: "The stack is protected from deletion. Remove its termination protection, then retry.",
    },
    Row {
        service: "cloudformation",
        code: "InsufficientCapabilitiesException",
        message_contains: "",
        attention_code: AttentionCode::StackNeedsCapabilities,
        message: "The template needs a capability that Freehold does not grant, such as macros. Remove that part from \
                  the template, then retry.",
    },
]);

impl Row {
    fn applies(&self, error: &CloudError) -> bool {
        let service = error.call.split(':').next().unwrap_or_default();
        (self.service == "*" || self.service == service)
            && self.code == error.code
            && error.message.contains(self.message_contains)
            && matches!(error.kind, CloudErrorKind::Failed)
    }
}

/// Returns the attention code and message for an AWS error in the table, or `None` for any other error.
pub(crate) fn for_error(error: &CloudError) -> Option<(AttentionCode, &'static str)> {
    TABLE.find(|row| row.applies(error)).map(|row| (row.attention_code, row.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ErrorOrigin;

    /// Returns an error that matches `row`.
    fn example(row: &Row) -> CloudError {
        let call = match row.service {
            "organizations" => "organizations:CreateAccount",
            "cloudformation" => "cloudformation:CreateStack",
            _ => "sso:CreateAccountAssignment",
        };
        let (code, message) = (row.code.to_owned(), format!("{}: no", row.message_contains));
        CloudError { kind: CloudErrorKind::Failed, call, origin: ErrorOrigin::Aws, code, message, request_id: None }
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
        assert_eq!(for_error(&CloudError { kind: CloudErrorKind::NotYet, ..error.clone() }), None);
        assert_eq!(for_error(&CloudError { code: "BrandNewException".to_owned(), ..error }), None);
    }
}
