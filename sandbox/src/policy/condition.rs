//! Condition operators of policy statements.

use super::{ConditionKeys, arn_matches, text_matches};

/// A condition operator, such as `ForAnyValue:StringNotLikeIfExists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    comparison: Comparison,
    negated: bool,
    if_exists: bool,
    quantifier: Option<Quantifier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Exact,
    IgnoreCase,
    Like,
    Arn,
    Bool,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

impl Operator {
    /// Parses the name of a condition operator. Returns `None` if the operator is unknown.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
            Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (comparison, negated) = match base {
            "StringEquals" => (Comparison::Exact, false),
            "StringNotEquals" => (Comparison::Exact, true),
            "StringEqualsIgnoreCase" => (Comparison::IgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::IgnoreCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Bool" => (Comparison::Bool, false),
            "Null" => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self { comparison, negated, if_exists, quantifier })
    }

    /// Returns whether the condition on `key` is satisfied.
    pub(super) fn is_satisfied(self, key: &str, expected: &[String], keys: &ConditionKeys) -> bool {
        let values = keys.get(key).unwrap_or_default();
        if self.comparison == Comparison::Null {
            return expected.iter().any(|expected| expected.eq_ignore_ascii_case("true") == values.is_empty());
        }
        if values.is_empty() {
            return self.negated || self.if_exists || self.quantifier == Some(Quantifier::All);
        }
        let matches = |value: &String| expected.iter().any(|expected| self.comparison.matches(expected, value));
        match (self.quantifier, self.negated) {
            (Some(Quantifier::All), false) => values.iter().all(matches),
            (Some(Quantifier::Any), true) => values.iter().any(|value| !matches(value)),
            (_, false) => values.iter().any(matches),
            (_, true) => !values.iter().any(matches),
        }
    }
}

impl Comparison {
    fn matches(self, expected: &str, value: &str) -> bool {
        match self {
            Self::Exact => expected == value,
            Self::IgnoreCase | Self::Bool => expected.eq_ignore_ascii_case(value),
            Self::Like => text_matches(expected, value),
            Self::Arn => arn_matches(expected, value),
            Self::Null => false,
        }
    }
}
