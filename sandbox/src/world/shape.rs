//! Input constraints as in the service models of AWS: required members, lengths, patterns and allowed values.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex_lite::Regex;
use serde_json::Value;

/// Constraint on the value of an input member.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string of `min` to `max` characters. If there is a pattern, the whole string must match it.
    Text {
        min: usize,
        max: usize,
        pattern: Option<&'static str>,
    },
    OneOf(&'static [&'static str]),
    Number {
        min: i64,
        max: i64,
    },
    /// A list with a maximum length, and the constraint on each item.
    List(usize, &'static Shape),
    Structure(&'static [InputMember]),
}

/// A member of the input of an operation.
#[derive(Clone, Copy, Debug)]
pub struct InputMember {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
}

/// Violation of a constraint by the input of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the member in the input, such as `Tags[1].Key`.
    pub member: String,
    pub kind: ViolationKind,
    /// Constraint as in the error messages of AWS, such as "Member must have length less than or equal to 50".
    pub constraint: String,
}

/// The kind of a violated constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    Required,
    Type,
    TooShort,
    TooLong,
    Pattern,
    Enum,
    TooSmall,
    TooLarge,
}

pub const fn text(min: usize, max: usize) -> Shape {
    Shape::Text { min, max, pattern: None }
}

pub const fn matching(min: usize, max: usize, pattern: &'static str) -> Shape {
    Shape::Text { min, max, pattern: Some(pattern) }
}

pub const fn required(name: &'static str, shape: Shape) -> InputMember {
    InputMember { name, required: true, shape }
}

pub const fn optional(name: &'static str, shape: Shape) -> InputMember {
    InputMember { name, required: false, shape }
}

/// Validates the input of an operation. Returns the first violation as the error.
pub fn check(members: &[InputMember], input: &Value) -> Result<(), Violation> {
    check_structure(members, input, "")
}

fn check_structure(members: &[InputMember], input: &Value, path: &str) -> Result<(), Violation> {
    for member in members {
        let path = if path.is_empty() { member.name.to_owned() } else { format!("{path}.{}", member.name) };
        match input.get(member.name) {
            None | Some(Value::Null) if member.required => {
                return Err(Violation {
                    member: path,
                    kind: ViolationKind::Required,
                    constraint: "Member must not be null".into(),
                });
            }
            None | Some(Value::Null) => {}
            Some(value) => check_shape(&member.shape, value, &path)?,
        }
    }
    Ok(())
}

fn check_shape(shape: &Shape, value: &Value, path: &str) -> Result<(), Violation> {
    let violation = |kind, constraint: String| Err(Violation { member: path.to_owned(), kind, constraint });
    match shape {
        Shape::Text { min, max, pattern } => {
            let Some(text) = value.as_str() else {
                return violation(ViolationKind::Type, "Member must be a string".into());
            };
            let length = text.chars().count();
            if length < *min {
                return violation(
                    ViolationKind::TooShort,
                    format!("Member must have length greater than or equal to {min}"),
                );
            }
            if length > *max {
                return violation(
                    ViolationKind::TooLong,
                    format!("Member must have length less than or equal to {max}"),
                );
            }
            match pattern {
                Some(pattern) if !matches(pattern, text) => violation(
                    ViolationKind::Pattern,
                    format!("Member must satisfy regular expression pattern: {pattern}"),
                ),
                _ => Ok(()),
            }
        }
        Shape::OneOf(values) => match value.as_str() {
            Some(text) if values.contains(&text) => Ok(()),
            _ => violation(ViolationKind::Enum, format!("Member must satisfy enum value set: [{}]", values.join(", "))),
        },
        Shape::Number { min, max } => {
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            match number {
                None => violation(ViolationKind::Type, "Member must be a number".into()),
                Some(number) if number < *min => {
                    violation(ViolationKind::TooSmall, format!("Member must have value greater than or equal to {min}"))
                }
                Some(number) if number > *max => {
                    violation(ViolationKind::TooLarge, format!("Member must have value less than or equal to {max}"))
                }
                Some(_) => Ok(()),
            }
        }
        Shape::List(max, item) => {
            let Some(values) = value.as_array() else {
                return violation(ViolationKind::Type, "Member must be a list".into());
            };
            if values.len() > *max {
                return violation(
                    ViolationKind::TooLong,
                    format!("Member must have length less than or equal to {max}"),
                );
            }
            values.iter().enumerate().try_for_each(|(n, value)| check_shape(item, value, &format!("{path}[{n}]")))
        }
        Shape::Structure(members) => match value {
            Value::Object(_) => check_structure(members, value, path),
            _ => violation(ViolationKind::Type, "Member must be a structure".into()),
        },
    }
}

/// Returns whether the whole text matches the pattern. An invalid pattern matches any text.
fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED_PATTERNS: LazyLock<Mutex<HashMap<&'static str, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED_PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern).or_insert_with(|| Regex::new(&format!("^(?:{pattern})$")).ok());
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MEMBERS: &[InputMember] = &[
        required("Name", matching(1, 5, "[a-z]+")),
        optional("Count", Shape::Number { min: 1, max: 20 }),
        optional("Kind", Shape::OneOf(&["A", "B"])),
        optional("Tags", Shape::List(2, &Shape::Structure(&[required("Key", text(1, 3))]))),
    ];

    fn kind(input: &Value) -> Option<(String, ViolationKind)> {
        check(MEMBERS, input).err().map(|violation| (violation.member, violation.kind))
    }

    #[test]
    fn the_first_violated_constraint_is_returned() {
        assert_eq!(kind(&json!({"Name": "abc", "Count": 20, "Kind": "A", "Tags": [{"Key": "k"}]})), None);
        let of = |member: &str, kind| Some((member.to_owned(), kind));
        assert_eq!(kind(&json!({})), of("Name", ViolationKind::Required));
        assert_eq!(kind(&json!({"Name": ""})), of("Name", ViolationKind::TooShort));
        assert_eq!(kind(&json!({"Name": "abcdef"})), of("Name", ViolationKind::TooLong));
        assert_eq!(kind(&json!({"Name": "abC"})), of("Name", ViolationKind::Pattern));
        assert_eq!(kind(&json!({"Name": 3})), of("Name", ViolationKind::Type));
        assert_eq!(kind(&json!({"Name": "a", "Count": 21})), of("Count", ViolationKind::TooLarge));
        assert_eq!(kind(&json!({"Name": "a", "Kind": "C"})), of("Kind", ViolationKind::Enum));
        assert_eq!(kind(&json!({"Name": "a", "Tags": [{"Key": "k"}, {}]})), of("Tags[1].Key", ViolationKind::Required));
    }
}
