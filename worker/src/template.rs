//! CloudFormation template of the tenant stack, parsed so that Freehold can validate it and pass the right parameters.

mod access_role;
pub(crate) mod baseline;
pub mod check;
mod source;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use freehold_tenancy::config::Stack;
use serde_json::{Map, Value};

pub(crate) use source::{CurrentTemplate, TemplateSource};

/// Template that is deployed if `stack.template` is not set.
const BUILT_IN_TEMPLATE: &str = include_str!("../../stacks/tenant.yaml");

/// Error in the template, with a message that starts with the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("stack.template: {path} cannot be read: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("stack.template: must be YAML or JSON: {0}")]
    NotWellFormed(String),
}

/// Parsed template, in the long form of functions: `!Ref x` is `{"Ref": "x"}`. Scalars of a YAML template are parsed as
/// strings.
#[derive(Debug, Clone)]
pub struct Template {
    root: Map<String, Value>,
}

/// Output that a template declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TemplateOutput {
    /// Whether the stack has the output only under a condition, which can depend on the tenant.
    pub(crate) is_conditional: bool,
}

/// Returns the text of the configured template, or of the built-in template.
pub fn read(stack: &Stack) -> Result<String, TemplateError> {
    match &stack.template {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| TemplateError::Unreadable { path: path.clone(), reason: error.to_string() }),
        None => Ok(BUILT_IN_TEMPLATE.to_owned()),
    }
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| {
                TemplateError::NotWellFormed(format!("line {}, column {} is not JSON", error.line(), error.column()))
            })?
        } else {
            yaml::parse(text).map_err(TemplateError::NotWellFormed)?
        };
        match value {
            Value::Object(root) => Ok(Self { root }),
            _ => Err(TemplateError::NotWellFormed("a template is an object with the section Resources".to_owned())),
        }
    }

    /// Returns whether the template declares a parameter.
    pub fn has_parameter(&self, name: &str) -> bool {
        self.section("Parameters").any(|(parameter, _)| parameter == name)
    }

    /// Returns the output of this name.
    pub(crate) fn output(&self, name: &str) -> Option<TemplateOutput> {
        let (_, output) = self.section("Outputs").find(|(output, _)| *output == name)?;
        Some(TemplateOutput { is_conditional: output.get("Condition").is_some() })
    }

    /// Returns the entries of `parameters` that the template declares.
    pub(crate) fn declared_only(&self, parameters: BTreeMap<String, String>) -> BTreeMap<String, String> {
        parameters.into_iter().filter(|(name, _)| self.has_parameter(name)).collect()
    }

    /// Returns the entries of a section, or no entries if the section is missing or is not an object.
    fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.root.get(name).and_then(Value::as_object);
        entries.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }
}
