//! What AWS refuses for good and a person can do something about: each with a code of its own and a sentence for support.

use crate::cloud::{CloudError, CloudErrorKind};

/// A refusal, why a person is asked about it, and which scenario of docs/scenarios.md it serves.
#[derive(Debug, PartialEq)]
struct Row {
    /// The service, `*` for any.
    service: &'static str,
    /// AWS's code.
    code: &'static str,
    /// What the message says; a reason stands first in it.
    says: &'static str,
    /// Our code, stable.
    park: &'static str,
    /// What has happened and what to do.
    message: &'static str,
    scenario: u8,
}

/// The first row that applies counts.
static TABLE: &[Row] = &[
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        says: "TAG_POLICY_VIOLATION",
        park: "tag_policy_violated",
        message: "A tag policy of the organisation forbids the tags by which Freehold knows its accounts \
                   (freehold:installation, freehold:tenant, freehold:environment). Allow them, then retry.",
        scenario: 21,
    },
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        says: "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
        park: "policy_limit_reached",
        message: "An OU carries as many service control policies as AWS allows. Detach or merge some, then run `freehold \
                   bootstrap` again.",
        scenario: 19,
    },
    Row {
        service: "organizations",
        code: "ConstraintViolationException",
        says: "POLICY_CONTENT_LIMIT_EXCEEDED",
        park: "guardrail_too_long",
        message: "A residency names more regions than one service control policy holds. Split it, then run `freehold \
                   bootstrap` again.",
        scenario: 19,
    },
    Row {
        service: "organizations",
        code: "DestinationParentNotFoundException",
        says: "",
        park: "residency_not_prepared",
        message: "The OU of the residency is gone. Run `freehold bootstrap`, then retry.",
        scenario: 17,
    },
    Row {
        service: "organizations",
        code: "AccountNotFoundException",
        says: "",
        park: "account_missing",
        message: "The account is not in the organisation any more: it was removed, or closed long ago.",
        scenario: 46,
    },
    Row {
        service: "*",
        code: "ServiceQuotaExceededException",
        says: "",
        park: "aws_quota_reached",
        message: "A quota of AWS is used up, and waiting does not raise it. Make room or ask AWS to raise it, then retry.",
        scenario: 29,
    },
    Row {
        service: "*",
        code: "LimitExceededException",
        says: "",
        park: "aws_quota_reached",
        message: "A quota of AWS is used up, and waiting does not raise it. Make room or ask AWS to raise it, then retry.",
        scenario: 40,
    },
    Row {
        service: "cloudformation",
        code: "ValidationError",
        says: "TerminationProtection",
        park: "stack_protected",
        message: "Somebody has protected the stack against deletion. Take the protection away, then retry.",
        scenario: 38,
    },
    Row {
        service: "cloudformation",
        code: "InsufficientCapabilitiesException",
        says: "",
        park: "stack_needs_capabilities",
        message: "The template needs a capability that Freehold does not grant, such as macros. Take out what needs it, \
                   then retry.",
        scenario: 39,
    },
];

impl Row {
    fn applies(&self, error: &CloudError) -> bool {
        let service = error.call.split(':').next().unwrap_or_default();
        (self.service == "*" || self.service == service)
            && self.code == error.code
            && error.message.contains(self.says)
            && matches!(error.kind, CloudErrorKind::Failed)
    }
}

/// Our code and sentence for a refusal that we know.
pub(crate) fn known(error: &CloudError) -> Option<(&'static str, &'static str)> {
    judge(TABLE.iter(), error)
}

fn judge<'a>(mut rows: impl Iterator<Item = &'a Row>, error: &CloudError) -> Option<(&'static str, &'static str)> {
    rows.find(|row| row.applies(error)).map(|row| (row.park, row.message))
}

/// Every row in words, with the scenario that it serves.
pub(crate) fn rows() -> impl Iterator<Item = (u8, String)> {
    TABLE.iter().map(|row| {
        let service = if row.service == "*" { "any service" } else { row.service };
        let says = if row.says.is_empty() { String::new() } else { format!(" {}", row.says) };
        (row.scenario, format!("{service}: {}{says} → a person is asked: `{}`", row.code, row.park))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What AWS answers where a row applies.
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
        for masked in TABLE {
            let error = example(masked);
            let without = judge(TABLE.iter().filter(|row| *row != masked), &error);
            eprintln!(
                "{:>2} {} {}: {}, without the row {without:?}",
                masked.scenario, masked.code, masked.says, masked.park
            );
            assert_eq!(known(&error), Some((masked.park, masked.message)), "another row comes before {masked:?}");
            assert_eq!(without, None, "nothing changes without {masked:?}");
        }
    }

    #[test]
    fn what_is_only_not_yet_or_not_known_parks_nobody_for_these_reasons() {
        let error = example(&TABLE[0]);
        assert_eq!(known(&CloudError { kind: CloudErrorKind::NotYet, ..error.clone() }), None);
        assert_eq!(known(&CloudError { code: "BrandNewException".to_owned(), ..error }), None);
    }
}
