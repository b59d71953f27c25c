//! Condition operators of policy statements.

mod keys;
mod values;

use super::{ConditionKeys, Effect, Pattern};
use values::{Order, is_in_network, parse_date, parse_network, parse_number};

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
    Number(Order),
    Date(Order),
    IpAddress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

/// Properties of the statement that contains a condition.
#[derive(Clone, Copy)]
pub(super) struct StatementContext<'a> {
    pub(super) keys: &'a ConditionKeys,
    pub(super) effect: Effect,
    /// Action of the request, such as `s3:GetObject`.
    pub(super) action: &'a str,
    /// True if the version of the document has policy variables.
    pub(super) has_variables: bool,
}

impl StatementContext<'_> {
    pub(super) fn pattern(&self, text: &str) -> Pattern {
        if self.has_variables { Pattern::resolve(text, self.keys) } else { Pattern::plain(text) }
    }
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
            // Both texts are Base64, so equal values have equal texts.
            "StringEquals" | "BinaryEquals" => (Comparison::Exact, false),
            "StringNotEquals" => (Comparison::Exact, true),
            "StringEqualsIgnoreCase" => (Comparison::IgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::IgnoreCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Bool" => (Comparison::Bool, false),
            "Null" => (Comparison::Null, false),
            "IpAddress" => (Comparison::IpAddress, false),
            "NotIpAddress" => (Comparison::IpAddress, true),
            other => parse_ordering(other)?,
        };
        Some(Self { comparison, negated, if_exists, quantifier })
    }

    /// Returns whether the operator can compare with this value of a policy.
    pub(super) fn accepts(self, expected: &str) -> bool {
        match self.comparison {
            Comparison::Number(_) => parse_number(expected).is_some(),
            Comparison::Date(_) => parse_date(expected).is_some(),
            Comparison::IpAddress => parse_network(expected).is_some(),
            Comparison::Bool | Comparison::Null => ["true", "false"].contains(&expected.to_lowercase().as_str()),
            Comparison::Exact | Comparison::IgnoreCase | Comparison::Like | Comparison::Arn => true,
        }
    }

    /// Returns whether the condition on `key` is satisfied. A variable without a value, a key that the sandbox does not
    /// simulate, and a key with several values in a comparison for one value make the statement deny rather than allow.
    pub(super) fn is_satisfied(self, key: &str, expected: &[String], statement: &StatementContext<'_>) -> bool {
        let values = statement.keys.get(key).unwrap_or_default();
        if values.is_empty() && !keys::is_simulated(key, statement.action) {
            return statement.effect == Effect::Deny;
        }
        let compares_one = self.quantifier.is_none() && self.comparison != Comparison::Null;
        if compares_one && keys::is_multi_valued(key) {
            return statement.effect == Effect::Deny;
        }
        if self.comparison == Comparison::Null {
            return expected.iter().any(|expected| expected.eq_ignore_ascii_case("true") == values.is_empty());
        }
        if values.is_empty() {
            return match self.quantifier {
                Some(Quantifier::All) => true,
                Some(Quantifier::Any) => self.if_exists,
                None => self.negated || self.if_exists,
            };
        }
        let assumed = (statement.effect == Effect::Deny) != self.negated;
        let expected: Vec<Pattern> = expected.iter().map(|text| statement.pattern(text)).collect();
        let matches = |value: &String| {
            expected.iter().any(|expected| {
                if expected.has_unknown_variable() { assumed } else { self.comparison.matches(expected, value) }
            })
        };
        match (self.quantifier, self.negated) {
            (Some(Quantifier::All), false) => values.iter().all(matches),
            (Some(Quantifier::Any), true) => values.iter().any(|value| !matches(value)),
            (_, false) => values.iter().any(matches),
            (_, true) => !values.iter().any(matches),
        }
    }
}

/// Parses an operator for numbers or dates, such as `NumericLessThan`.
fn parse_ordering(name: &str) -> Option<(Comparison, bool)> {
    let (kind, rest): (fn(Order) -> Comparison, &str) = match name.strip_prefix("Numeric") {
        Some(rest) => (Comparison::Number, rest),
        None => (Comparison::Date, name.strip_prefix("Date")?),
    };
    if rest == "NotEquals" {
        return Some((kind(Order::Equal), true));
    }
    Some((kind(Order::parse(rest)?), false))
}

impl Comparison {
    fn matches(self, expected: &Pattern, value: &str) -> bool {
        match self {
            Self::Like => expected.matches(value),
            Self::Arn => expected.matches_arn(value),
            Self::Null => false,
            Self::Exact => expected.literal_text() == value,
            Self::IgnoreCase | Self::Bool => expected.literal_text().to_lowercase() == value.to_lowercase(),
            Self::Number(order) => {
                let numbers = parse_number(value).zip(parse_number(&expected.literal_text()));
                numbers.is_some_and(|(value, expected)| order.holds(&value, &expected))
            }
            Self::Date(order) => {
                let dates = parse_date(value).zip(parse_date(&expected.literal_text()));
                dates.is_some_and(|(value, expected)| order.holds(&value, &expected))
            }
            Self::IpAddress => is_in_network(value, &expected.literal_text()),
        }
    }
}
