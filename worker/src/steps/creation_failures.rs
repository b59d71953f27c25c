//! Why AWS fails a CreateAccount, and what follows: the table.

use freehold_tenancy::fleet_hold::HoldKind;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CreationFailureAction {
    /// Somebody has the e-mail address: this environment's own account is adopted, any other is for a person.
    AdoptOrNeedsAttention,
    /// This environment's own account is adopted where there is one; else another is asked for.
    AdoptOrRequestAgain,
    /// Nobody asks for accounts until AWS allows more.
    Hold(HoldKind),
    /// A person has to remove the cause.
    NeedsAttention {
        /// Stable.
        code: &'static str,
        /// What has happened and what to do.
        message: &'static str,
    },
}

/// A reason, what follows from it, and which scenario of docs/scenarios.md it serves.
#[derive(Debug, PartialEq)]
struct Row {
    reason: &'static str,
    then: CreationFailureAction,
    scenario: u8,
}

const BUSINESS: CreationFailureAction = CreationFailureAction::NeedsAttention {
    code: "business_validation_needed",
    message: "AWS has to validate the business of the management account before it creates accounts. See to that with AWS, \
               then retry.",
};

const PAYMENT: CreationFailureAction = CreationFailureAction::NeedsAttention {
    code: "payment_instrument_needed",
    message: "The management account has no valid payment method. Give it one in the Billing console, then retry.",
};

/// What follows from a reason that is not in the table.
const UNKNOWN: CreationFailureAction = CreationFailureAction::NeedsAttention {
    code: "account_creation_failed",
    message: "AWS could not create the account. Remove the cause, then retry.",
};

static TABLE: &[Row] = &[
    row("EMAIL_ALREADY_EXISTS", CreationFailureAction::AdoptOrNeedsAttention, 3),
    // Our own request reached AWS twice, and one of the two goes on.
    row("CONCURRENT_ACCOUNT_MODIFICATION", CreationFailureAction::AdoptOrRequestAgain, 2),
    row("INTERNAL_FAILURE", CreationFailureAction::AdoptOrRequestAgain, 10),
    row("ACCOUNT_LIMIT_EXCEEDED", CreationFailureAction::Hold(HoldKind::AccountQuotaReached), 5),
    row(
        "INVALID_EMAIL",
        CreationFailureAction::NeedsAttention {
            code: "account_email_invalid",
            message: "AWS does not take the e-mail address of the new account. Correct organization.account_email in the \
                       configuration, then retry; or retry with another account_email for this one.",
        },
        11,
    ),
    row(
        "INVALID_ADDRESS",
        CreationFailureAction::NeedsAttention {
            code: "organization_address_invalid",
            message: "AWS finds the postal address of the management account invalid. Correct it in AWS, then retry.",
        },
        11,
    ),
    row("MISSING_PAYMENT_INSTRUMENT", PAYMENT, 11),
    row("INVALID_PAYMENT_INSTRUMENT", PAYMENT, 11),
    row("MISSING_BUSINESS_VALIDATION", BUSINESS, 11),
    row("FAILED_BUSINESS_VALIDATION", BUSINESS, 11),
    row("PENDING_BUSINESS_VALIDATION", BUSINESS, 11),
    row("UNKNOWN_BUSINESS_VALIDATION", BUSINESS, 11),
    row("INVALID_IDENTITY_FOR_BUSINESS_VALIDATION", BUSINESS, 11),
];

const fn row(reason: &'static str, then: CreationFailureAction, scenario: u8) -> Row {
    Row { reason, then, scenario }
}

/// What follows from AWS's reason.
pub(super) fn then(reason: &str) -> CreationFailureAction {
    judge(TABLE.iter(), reason)
}

fn judge<'a>(mut rows: impl Iterator<Item = &'a Row>, reason: &str) -> CreationFailureAction {
    rows.find(|row| row.reason == reason).map_or(UNKNOWN, |row| row.then)
}

/// Every row in words, with the scenario that it serves.
pub(crate) fn rows() -> impl Iterator<Item = (u8, String)> {
    TABLE.iter().map(|row| {
        let then = match row.then {
            CreationFailureAction::AdoptOrNeedsAttention => {
                "ours is adopted, another's is for a person: `account_email_taken`".to_owned()
            }
            CreationFailureAction::AdoptOrRequestAgain => "ours is adopted, else another is asked for".to_owned(),
            CreationFailureAction::Hold(kind) => format!("the fleet is held: `{kind}`"),
            CreationFailureAction::NeedsAttention { code, .. } => format!("a person is asked: `{code}`"),
        };
        (row.scenario, format!("CreateAccount FAILED {} → {then}", row.reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_needed() {
        for masked in TABLE {
            let without = judge(TABLE.iter().filter(|row| *row != masked), masked.reason);
            eprintln!("{:>2} {}: {:?}, without the row {without:?}", masked.scenario, masked.reason, masked.then);
            assert_eq!(then(masked.reason), masked.then, "another row comes before {masked:?}");
            assert_ne!(without, masked.then, "nothing changes without {masked:?}");
        }
    }

    #[test]
    fn a_reason_of_next_year_is_for_a_person() {
        assert_eq!(then("A_REASON_OF_NEXT_YEAR"), UNKNOWN);
    }
}
