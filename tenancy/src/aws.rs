//! AWS's constraints on the values that Freehold sends. Freehold checks them to reject an invalid value before it calls
//! AWS.
//!
//! [`constraints`] is generated from AWS's service models. [`quotas`] contains the limits that are documented only in
//! AWS's user guides.

pub mod constraints;
pub mod quotas;
pub mod resource_types;

use std::sync::OnceLock;

use regex::Regex;

/// Constraint on a text: its length in characters, and optionally a pattern.
#[derive(Debug)]
pub struct Constraint {
    min: usize,
    max: usize,
    pattern: Option<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: &'static str,
    /// Text of the rule after the word "must", such as "contain only printable ASCII characters".
    rule: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Returns the compiled pattern, or `None` if it is not a valid regular expression. A test checks that all patterns
    /// are valid.
    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(self.text).ok()).as_ref()
    }
}

impl Constraint {
    const fn new(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None }
    }

    const fn with_pattern(min: usize, max: usize, text: &'static str, rule: &'static str) -> Self {
        Self { min, max, pattern: Some(Pattern { text, rule, compiled: OnceLock::new() }) }
    }

    /// Returns the maximum length in characters.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Returns the rule that `value` violates, starting with "must", or `None` if AWS accepts the value.
    pub fn violation(&self, value: &str) -> Option<String> {
        let length = value.chars().count();
        if length == 0 && self.min > 0 {
            return Some("must not be empty".to_owned());
        }
        if length < self.min {
            return Some(format!("must have at least {} characters, not {length}", self.min));
        }
        if length > self.max {
            return Some(format!("must have at most {} characters, not {length}", self.max));
        }
        let pattern = self.pattern.as_ref()?;
        let regex = pattern.regex()?;
        if regex.is_match(value) {
            return None;
        }
        let rule = pattern.rule;
        // A pattern for a set of characters accepts each of them alone.
        let refused = value.chars().find(|one| !regex.is_match(one.encode_utf8(&mut [0; 4])));
        match refused.filter(|_| rule.starts_with("contain only")) {
            Some(refused) => Some(format!("must {rule}, not {}", name_of(refused))),
            None => Some(format!("must {rule}")),
        }
    }
}

/// Returns a printable name for a character, because the character itself may be invisible.
fn name_of(character: char) -> String {
    let code = u32::from(character);
    if character.is_ascii_graphic() { format!("`{character}`") } else { format!("U+{code:04X}") }
}

#[cfg(test)]
mod tests {
    use super::constraints::{
        ACCOUNT_EMAIL, ACCOUNT_NAME, ALL, CLIENT_REQUEST_TOKEN, EXTERNAL_ID, GIVEN_NAME, IDENTITY_STORE_ID,
        INSTANCE_ARN, MANAGED_POLICY_ARN, OU_PARENT_ID, PERMISSION_SET_DESCRIPTION, PERMISSION_SET_NAME, ROLE_ARN,
        SESSION_DURATION,
    };
    use super::*;

    #[test]
    fn every_pattern_of_aws_is_a_valid_regular_expression() {
        for (name, constraint) in &ALL {
            if let Some(pattern) = &constraint.pattern {
                assert!(pattern.regex().is_some(), "{name}: {}", Regex::new(pattern.text).unwrap_err());
                assert!(pattern.text.starts_with('^') && pattern.text.ends_with('$'), "{name} is not anchored");
            }
        }
    }

    #[test]
    fn a_violation_says_the_rule_and_the_refused_character() {
        let long = "x".repeat(33);
        for (constraint, value, expected) in [
            (&PERMISSION_SET_NAME, "", "must not be empty"),
            (&PERMISSION_SET_NAME, long.as_str(), "must have at most 32 characters, not 33"),
            (
                &PERMISSION_SET_NAME,
                "read only",
                "must contain only letters, digits and the characters _ + = , . @ -, not U+0020",
            ),
            (
                &PERMISSION_SET_DESCRIPTION,
                "a – b",
                "must contain only Latin-1 characters (no typographic quotes or dashes), not U+2013",
            ),
            (&GIVEN_NAME, "A\u{200d}B", "not U+200D"),
            (&ACCOUNT_EMAIL, "a@b", "must have at least 6 characters, not 3"),
            (&ACCOUNT_EMAIL, "admin.example", "must be an e-mail address without spaces"),
            (
                &MANAGED_POLICY_ARN,
                "arn:aws:iam::111122223333:policy/Own",
                "must be the ARN of a policy that AWS manages",
            ),
            (&EXTERNAL_ID, "a b", "not U+0020"),
            (&CLIENT_REQUEST_TOKEN, "-a", "must contain only letters, digits and hyphens"),
        ] {
            let violation = constraint.violation(value).unwrap_or_default();
            assert!(violation.contains(expected), "{value:?}: {violation}");
        }
    }

    #[test]
    fn values_that_aws_accepts_have_no_violation() {
        for (constraint, value) in [
            (&ACCOUNT_NAME, "Example GmbH env_01jb0000000000000000000000"),
            (&ACCOUNT_EMAIL, "aws+env_01jb0000000000000000000000@example.com"),
            (&OU_PARENT_ID, "ou-abcd-11112222"),
            (&OU_PARENT_ID, "r-abcd"),
            (&MANAGED_POLICY_ARN, "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"),
            (&GIVEN_NAME, "株式会社 テスト ✨"),
            (&INSTANCE_ARN, "arn:aws:sso:::instance/ssoins-1111222233334444"),
            (&IDENTITY_STORE_ID, "d-1111222233"),
            (&SESSION_DURATION, "PT4H"),
            (&ROLE_ARN, "arn:aws:iam::111122223333:role/freehold-control"),
        ] {
            assert_eq!(constraint.violation(value), None, "{value}");
        }
    }
}
