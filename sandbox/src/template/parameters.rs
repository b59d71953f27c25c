//! The template section `Parameters`: declarations of parameters, and validation of parameter values.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::TemplateError;

/// An entry of the template section `Parameters`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) default: Option<String>,
    /// True if DescribeStacks returns `****` instead of the parameter value.
    pub(crate) no_echo: bool,
    /// Type in the template, such as `String` or `List<Number>`.
    pub(crate) type_name: String,
    kind: ParameterType,
    pub(crate) allowed_values: Vec<String>,
    allowed_pattern: Option<String>,
    length: (Option<f64>, Option<f64>),
    range: (Option<f64>, Option<f64>),
    constraint_description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParameterType {
    Text,
    Number,
    TextList,
    NumberList,
}

impl Parameter {
    pub(super) fn parse(name: String, value: &Value) -> Result<Self, TemplateError> {
        let location = format!("[/Parameters/{name}]");
        let fields = value.as_object().ok_or_else(|| {
            TemplateError::format(format_args!("{location} Every Parameters object must be an object."))
        })?;
        let kind = match fields.get("Type").and_then(Value::as_str) {
            Some("Number") => ParameterType::Number,
            Some("List<Number>") => ParameterType::NumberList,
            Some("CommaDelimitedList") => ParameterType::TextList,
            Some(list) if list.starts_with("List<AWS::") => ParameterType::TextList,
            Some("String") => ParameterType::Text,
            Some(aws) if aws.starts_with("AWS::") && !aws.starts_with("AWS::SSM::Parameter::Value") => {
                ParameterType::Text
            }
            Some(other) => {
                return Err(TemplateError::format(format_args!("Unrecognized parameter type: {other}")));
            }
            None => {
                return Err(TemplateError::format(format_args!(
                    "{location} Every Parameters object must contain a Type member."
                )));
            }
        };
        let number = |key: &str| fields.get(key).and_then(|value| scalar_text(value)?.parse().ok());
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let allowed_pattern = text("AllowedPattern");
        if let Some(pattern) = &allowed_pattern
            && anchored_regex(pattern).is_none()
        {
            return Err(TemplateError::format(format_args!("{location} AllowedPattern is not a regular expression.")));
        }
        Ok(Self {
            kind,
            type_name: text("Type").unwrap_or_default(),
            description: text("Description"),
            default: fields.get("Default").and_then(scalar_text),
            no_echo: fields.get("NoEcho").and_then(scalar_text).is_some_and(|flag| flag == "true"),
            allowed_values: fields
                .get("AllowedValues")
                .and_then(Value::as_array)
                .map(|values| values.iter().filter_map(scalar_text).collect())
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
            ParameterType::Text | ParameterType::Number => vec![value],
            ParameterType::TextList | ParameterType::NumberList => value.split(',').map(str::trim).collect(),
        };
        for item in items {
            if let Some(violation) = self.violation(item) {
                let name = &self.name;
                return Err(TemplateError(match &self.constraint_description {
                    Some(text) => format!("Parameter {name} failed to satisfy constraint: {text}"),
                    None => format!("Parameter '{name}' {violation}"),
                }));
            }
        }
        Ok(())
    }

    fn violation(&self, value: &str) -> Option<String> {
        if matches!(self.kind, ParameterType::Number | ParameterType::NumberList) {
            let Ok(number) = value.parse::<f64>() else {
                return Some("must be a number.".to_owned());
            };
            if let Some(min) = self.range.0.filter(|min| number < *min) {
                return Some(format!("must be a number not less than {min}"));
            }
            if let Some(max) = self.range.1.filter(|max| number > *max) {
                return Some(format!("must be a number not greater than {max}"));
            }
        }
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|allowed| allowed == value) {
            return Some(format!("must be one of AllowedValues: [{}]", self.allowed_values.join(", ")));
        }
        #[expect(clippy::cast_precision_loss, reason = "a parameter has at most 4,096 characters")]
        let length = value.chars().count() as f64;
        if let Some(min) = self.length.0.filter(|min| length < *min) {
            return Some(format!("must contain at least {min} characters"));
        }
        if let Some(max) = self.length.1.filter(|max| length > *max) {
            return Some(format!("must contain at most {max} characters"));
        }
        let pattern = self.allowed_pattern.as_ref()?;
        let matches = anchored_regex(pattern).is_some_and(|regex| regex.is_match(value));
        (!matches).then(|| format!("must match pattern {pattern}"))
    }

    /// Converts the text of a parameter value to the value of `Ref`, which is a string or a list of strings.
    fn value(&self, text: &str) -> Value {
        match self.kind {
            ParameterType::Text | ParameterType::Number => json!(text),
            ParameterType::TextList | ParameterType::NumberList => {
                text.split(',').map(|item| json!(item.trim())).collect()
            }
        }
    }
}

/// Returns the value of `Ref` for each parameter. Parameters without an entry in `values` get their default.
pub(super) fn bind_parameter_values(
    declared: &[Parameter],
    values: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    let unknown: Vec<&str> =
        values.keys().map(String::as_str).filter(|name| !declared.iter().any(|known| known.name == *name)).collect();
    if !unknown.is_empty() {
        return Err(TemplateError(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let value = |parameter: &Parameter| values.get(&parameter.name).or(parameter.default.as_ref()).cloned();
    let missing: Vec<&str> = declared
        .iter()
        .filter(|parameter| value(parameter).is_none())
        .map(|parameter| parameter.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(TemplateError(format!("Parameters: [{}] must have values", missing.join(", "))));
    }
    let mut bound = BTreeMap::new();
    for parameter in declared {
        let text = value(parameter).unwrap_or_default();
        if text.len() > 4096 {
            return Err(TemplateError(format!("Parameter '{}' must be at most 4096 bytes long", parameter.name)));
        }
        parameter.check(&text)?;
        bound.insert(parameter.name.clone(), parameter.value(&text));
    }
    Ok(bound)
}

/// Returns the regular expression of AllowedPattern, which must match the whole value.
fn anchored_regex(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
