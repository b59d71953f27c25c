//! Condition operators.

use super::{Keys, arn_matches, text_matches};

/// A condition operator, such as `ForAnyValue:StringNotLikeIfExists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    compare: Compare,
    negated: bool,
    if_exists: bool,
    quantifier: Option<Quantifier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Exactly,
    IgnoringCase,
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
    /// Reads an operator's name.
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
        let (compare, negated) = match base {
            "StringEquals" => (Compare::Exactly, false),
            "StringNotEquals" => (Compare::Exactly, true),
            "StringEqualsIgnoreCase" => (Compare::IgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Compare::IgnoringCase, true),
            "StringLike" => (Compare::Like, false),
            "StringNotLike" => (Compare::Like, true),
            "ArnEquals" | "ArnLike" => (Compare::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Compare::Arn, true),
            "Bool" => (Compare::Bool, false),
            "Null" => (Compare::Null, false),
            _ => return None,
        };
        Some(Self { compare, negated, if_exists, quantifier })
    }

    /// Whether the condition on `key` holds.
    pub(super) fn holds(self, key: &str, wanted: &[String], keys: &Keys) -> bool {
        let values = keys.get(key).unwrap_or_default();
        if self.compare == Compare::Null {
            return wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case("true") == values.is_empty());
        }
        if values.is_empty() {
            return self.negated || self.if_exists || self.quantifier == Some(Quantifier::All);
        }
        let matches = |value: &String| wanted.iter().any(|wanted| self.compare.matches(wanted, value));
        match (self.quantifier, self.negated) {
            (Some(Quantifier::All), false) => values.iter().all(matches),
            (Some(Quantifier::Any), true) => values.iter().any(|value| !matches(value)),
            (_, false) => values.iter().any(matches),
            (_, true) => !values.iter().any(matches),
        }
    }
}

impl Compare {
    fn matches(self, wanted: &str, value: &str) -> bool {
        match self {
            Self::Exactly => wanted == value,
            Self::IgnoringCase | Self::Bool => wanted.eq_ignore_ascii_case(value),
            Self::Like => text_matches(wanted, value),
            Self::Arn => arn_matches(wanted, value),
            Self::Null => false,
        }
    }
}
