//! Labels and icons of states, steps, values, times and durations.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// Label of a state, with the icon and the colour that it has on pages.
#[derive(Clone)]
pub(super) struct State {
    pub(super) label: String,
    pub(super) icon: &'static str,
    pub(super) class: &'static str,
}

impl State {
    /// Returns the appearance of the state of a tenant, an environment, an operation or a step.
    pub(super) fn of(state: &str) -> Self {
        let (icon, class) = match state {
            "ready" | "succeeded" | "done" | "delivered" | "enabled" => ("done", "ready"),
            "needs_attention" | "parked" | "degraded" | "failed" | "failing" | "halted" | "awaiting_approval" => {
                ("warning", "attention")
            }
            "onboarding" | "running" | "waiting" | "restoring" | "baking" | "rolling_back" => ("later", "going"),
            _ => ("later", "rest"),
        };
        Self { label: sentence_case(state), icon, class }
    }
}

/// Returns the kind of an operation as the heading of a page.
pub(super) fn operation_title(kind: &str) -> String {
    match kind {
        "onboard" => "Onboarding".to_owned(),
        "offboard" => "Offboarding".to_owned(),
        "restore" => "Restoration".to_owned(),
        "suspend" => "Suspension".to_owned(),
        "resume" => "Resumption".to_owned(),
        other => sentence_case(other),
    }
}

/// Returns the requested action of an approval as a heading.
pub(super) fn approval_title(action: &str) -> String {
    let title = match action {
        "vend" => "Create an AWS account",
        "adopt" => "Use an AWS account that exists",
        "correct" => "Correct the e-mail address of the account",
        "close" => "Close the AWS account",
        "change_tier" => "Change the plan",
        other => return sentence_case(other),
    };
    title.to_owned()
}

/// Returns a name such as `upgrade_baseline` as words: `Upgrade baseline`.
pub(super) fn sentence_case(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Returns the title of a step.
pub(super) fn step_title(name: &str) -> String {
    let title = match name {
        "set-home-region" => "Determine the home region",
        "request-account" => "Request an AWS account",
        "await-account" => "Wait for the account",
        "place-account" => "Move into the guarded OU",
        "settle-account" => "Check name and tags",
        "reach-account" => "Wait until it is usable",
        "install-baseline" => "Install Freehold’s roles",
        "enable-regions" => "Opt in to the regions",
        "deploy-stack" => "Deploy the stack",
        "grant-access" => "Grant access to people",
        "verify" => "Prove that it works",
        other => return sentence_case(other),
    };
    title.to_owned()
}

/// Returns a value of JSON as text, a string without its quotes.
pub(super) fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Time with the text that a page shows, and the one that programs read.
pub(super) struct Instant {
    pub(super) text: String,
    pub(super) machine: String,
}

impl Instant {
    pub(super) fn of(at: DateTime<Utc>) -> Self {
        Self { text: at.format("%Y-%m-%d %H:%M:%S UTC").to_string(), machine: at.format("%FT%TZ").to_string() }
    }
}

/// Returns a duration in its two largest units, such as `1 h 44 min`.
pub(super) fn duration(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds().max(0);
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_durations_are_readable() {
        assert_eq!(sentence_case("needs_attention"), "Needs attention");
        assert_eq!(step_title("prove-residency"), "Prove residency");
        for (seconds, text) in
            [(-3, "0 s"), (59, "59 s"), (940, "15 min 40 s"), (6240, "1 h 44 min"), (200_000, "2 d 7 h")]
        {
            assert_eq!(duration(TimeDelta::seconds(seconds)), text);
        }
    }
}
