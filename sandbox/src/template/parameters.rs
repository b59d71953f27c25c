//! `Parameters`: what a template asks for, and whether what it was given will do.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::TemplateError;

/// One entry of `Parameters`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) default: Option<String>,
    /// Shown as `****` by everything that describes the stack.
    pub(crate) no_echo: bool,
    kind: Kind,
    allowed_values: Vec<String>,
    allowed_pattern: Option<String>,
    length: (Option<f64>, Option<f64>),
    range: (Option<f64>, Option<f64>),
    constraint_description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    List,
    Numbers,
}

impl Parameter {
    pub(super) fn read(name: String, value: &Value) -> Result<Self, TemplateError> {
        let place = format!("[/Parameters/{name}]");
        let fields = value
            .as_object()
            .ok_or_else(|| TemplateError::format(format_args!("{place} Every Parameters object must be an object.")))?;
        let kind = match fields.get("Type").and_then(Value::as_str) {
            Some("Number") => Kind::Number,
            Some("List<Number>") => Kind::Numbers,
            Some("CommaDelimitedList") => Kind::List,
            Some(list) if list.starts_with("List<AWS::") => Kind::List,
            Some("String") => Kind::Text,
            Some(aws) if aws.starts_with("AWS::") && !aws.starts_with("AWS::SSM::Parameter::Value") => Kind::Text,
            Some(other) => {
                return Err(TemplateError::format(format_args!("Unrecognized parameter type: {other}")));
            }
            None => {
                return Err(TemplateError::format(format_args!(
                    "{place} Every Parameters object must contain a Type member."
                )));
            }
        };
        let number = |key: &str| fields.get(key).and_then(|value| scalar(value)?.parse().ok());
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let allowed_pattern = text("AllowedPattern");
        if let Some(pattern) = &allowed_pattern
            && anchored(pattern).is_none()
        {
            return Err(TemplateError::format(format_args!("{place} AllowedPattern is not a regular expression.")));
        }
        Ok(Self {
            kind,
            description: text("Description"),
            default: fields.get("Default").and_then(scalar),
            no_echo: fields.get("NoEcho").and_then(scalar).is_some_and(|flag| flag == "true"),
            allowed_values: fields
                .get("AllowedValues")
                .and_then(Value::as_array)
                .map(|values| values.iter().filter_map(scalar).collect())
                .unwrap_or_default(),
            allowed_pattern,
            length: (number("MinLength"), number("MaxLength")),
            range: (number("MinValue"), number("MaxValue")),
            constraint_description: text("ConstraintDescription"),
            name,
        })
    }

    fn check(&self, value: &str) -> Result<(), TemplateError> {
        let items: Vec<&str> = match self.kind {
            Kind::Text | Kind::Number => vec![value],
            Kind::List | Kind::Numbers => value.split(',').map(str::trim).collect(),
        };
        for item in items {
            if let Some(complaint) = self.complaint(item) {
                let name = &self.name;
                return Err(TemplateError(match &self.constraint_description {
                    Some(text) => format!("Parameter {name} failed to satisfy constraint: {text}"),
                    None => format!("Parameter '{name}' {complaint}"),
                }));
            }
        }
        Ok(())
    }

    fn complaint(&self, value: &str) -> Option<String> {
        if matches!(self.kind, Kind::Number | Kind::Numbers) {
            let Ok(number) = value.parse::<f64>() else {
                return Some("must be a number.".to_owned());
            };
            if let Some(least) = self.range.0.filter(|least| number < *least) {
                return Some(format!("must be a number not less than {least}"));
            }
            if let Some(most) = self.range.1.filter(|most| number > *most) {
                return Some(format!("must be a number not greater than {most}"));
            }
        }
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|allowed| allowed == value) {
            return Some(format!("must be one of AllowedValues: [{}]", self.allowed_values.join(", ")));
        }
        #[expect(clippy::cast_precision_loss, reason = "a parameter has at most 4,096 characters")]
        let length = value.chars().count() as f64;
        if let Some(least) = self.length.0.filter(|least| length < *least) {
            return Some(format!("must contain at least {least} characters"));
        }
        if let Some(most) = self.length.1.filter(|most| length > *most) {
            return Some(format!("must contain at most {most} characters"));
        }
        let pattern = self.allowed_pattern.as_ref()?;
        let matches = anchored(pattern).is_some_and(|regex| regex.is_match(value));
        (!matches).then(|| format!("must match pattern {pattern}"))
    }

    /// What `Ref` gives: a text, or a list of texts.
    fn value(&self, text: &str) -> Value {
        match self.kind {
            Kind::Text | Kind::Number => json!(text),
            Kind::List | Kind::Numbers => text.split(',').map(|item| json!(item.trim())).collect(),
        }
    }
}

/// The values that `Ref` will give, from those in the request and the defaults.
pub(super) fn bind(
    declared: &[Parameter],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    let unknown: Vec<&str> =
        given.keys().map(String::as_str).filter(|name| !declared.iter().any(|known| known.name == *name)).collect();
    if !unknown.is_empty() {
        return Err(TemplateError(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let value = |parameter: &Parameter| given.get(&parameter.name).or(parameter.default.as_ref()).cloned();
    let missing: Vec<&str> = declared
        .iter()
        .filter(|parameter| value(parameter).is_none())
        .map(|parameter| parameter.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(TemplateError(format!("Parameters: [{}] must have values", missing.join(", "))));
    }
    let mut values = BTreeMap::new();
    for parameter in declared {
        let text = value(parameter).unwrap_or_default();
        if text.len() > 4096 {
            return Err(TemplateError(format!(
                "Parameter '{}' is longer than the 4096 bytes that a value may have",
                parameter.name
            )));
        }
        parameter.check(&text)?;
        values.insert(parameter.name.clone(), parameter.value(&text));
    }
    Ok(values)
}

/// AllowedPattern must match the whole value.
fn anchored(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
