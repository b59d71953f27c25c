//! Marks operations as needing attention after their deadline has passed.

use chrono::TimeDelta;
use freehold_tenancy::attention::{Attention, AttentionCode};

/// Returns the [`Attention`] for work that takes longer than allowed. Polling continues.
pub(crate) fn deadline_passed(problem: &str) -> Attention {
    let message = format!("{problem}. Freehold keeps polling. Check the state in AWS; a retry polls immediately.");
    Attention::new(AttentionCode::DeadlinePassed, message)
}

/// Formats a duration in the largest unit in which its value is at least two.
pub(crate) fn format_duration(span: TimeDelta) -> String {
    match (span.num_seconds(), span.num_minutes(), span.num_hours()) {
        (seconds @ ..120, ..) => format!("{seconds} seconds"),
        (_, minutes @ ..120, _) => format!("{minutes} minutes"),
        (_, _, hours @ ..48) => format!("{hours} hours"),
        (_, _, hours) => format!("{} days", hours / 24),
    }
}
