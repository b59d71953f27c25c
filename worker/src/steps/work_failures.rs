//! Why work fails that AWS had accepted, a stack or an assignment, and whether another try may mend it: the tables.

/// What a failure is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureAction {
    /// Another try, a few times.
    Retry,
    /// Another try, as often as it takes while the account is fresh; it does not count.
    RetryWhileNew,
    /// A person has to remove the cause.
    NeedsAttention {
        /// Stable.
        code: &'static str,
        /// What to do.
        message: &'static str,
    },
}

/// Words in AWS's reason, what it is worth, and which scenario of docs/scenarios.md it serves.
#[derive(Debug, PartialEq)]
struct Row {
    words: &'static str,
    verdict: FailureAction,
    scenario: u8,
}

/// The first failure of a stack's resource. What is in no row may be gone at the next try.
static STACK: &[Row] = &[
    Row {
        words: "explicit deny",
        verdict: FailureAction::NeedsAttention {
            code: "stack_denied_by_policy",
            message: "A service control policy denies what the stack asks for. Take it out of the template, or allow it.",
        },
        scenario: 32,
    },
    Row {
        words: "UnreservedConcurrentExecution below its minimum",
        verdict: FailureAction::NeedsAttention {
            code: "stack_reserves_concurrency",
            message: "The stack reserves Lambda concurrency, of which a new account has too little. Take \
                       ReservedConcurrentExecutions out of the template, or ask AWS for more.",
        },
        scenario: 42,
    },
    Row { words: "needs a subscription", verdict: FailureAction::RetryWhileNew, scenario: 24 },
    Row {
        words: "security token included in the request is invalid",
        verdict: FailureAction::RetryWhileNew,
        scenario: 31,
    },
    Row { words: "UnrecognizedClientException", verdict: FailureAction::RetryWhileNew, scenario: 31 },
];

/// The failure of an account assignment.
static ASSIGNMENT: &[Row] =
    &[Row { words: "Access denied by IAM", verdict: FailureAction::RetryWhileNew, scenario: 28 }];

/// What the first failure of a stack is worth.
pub(super) fn of_stack(reason: &str) -> FailureAction {
    judge(STACK.iter(), reason)
}

/// What the failure of an assignment is worth.
pub(super) fn of_assignment(reason: &str) -> FailureAction {
    judge(ASSIGNMENT.iter(), reason)
}

fn judge<'a>(mut rows: impl Iterator<Item = &'a Row>, reason: &str) -> FailureAction {
    rows.find(|row| reason.contains(row.words)).map_or(FailureAction::Retry, |row| row.verdict)
}

/// Every row in words, with the scenario that it serves.
pub(crate) fn rows() -> impl Iterator<Item = (u8, String)> {
    let stack = STACK.iter().map(|row| ("a stack's resource", row));
    stack.chain(ASSIGNMENT.iter().map(|row| ("an assignment", row))).map(|(what, row)| {
        let verdict = match row.verdict {
            FailureAction::Retry => "tried again a few times".to_owned(),
            FailureAction::RetryWhileNew => "tried again while the account is fresh".to_owned(),
            FailureAction::NeedsAttention { code, .. } => format!("a person is asked: `{code}`"),
        };
        (row.scenario, format!("{what} FAILED “{}” → {verdict}", row.words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_needed() {
        for (table, what) in [(STACK, "stack"), (ASSIGNMENT, "assignment")] {
            for masked in table {
                let reason = format!("Resource handler returned message: {}", masked.words);
                let without = judge(table.iter().filter(|row| *row != masked), &reason);
                eprintln!(
                    "{:>2} {what} {}: {:?}, without the row {without:?}",
                    masked.scenario, masked.words, masked.verdict
                );
                assert_eq!(judge(table.iter(), &reason), masked.verdict, "another row comes before {masked:?}");
                assert_ne!(without, masked.verdict, "nothing changes without {masked:?}");
            }
        }
    }
}
