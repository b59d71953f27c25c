//! CloudFormation templates of the tenant stack, parsed so that Freehold can validate them and pass the right
//! parameters.

mod access_role;
pub(crate) mod baseline;
pub mod check;
pub mod front_door;
mod needed_types;
mod origin;
mod release;
mod source;
pub mod validate_in_aws;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

pub use needed_types::needed_types;
pub(crate) use origin::{TemplateOrigin, has_function_urls};
pub(crate) use release::{LoadedRelease, ReleaseCache};
pub(crate) use source::{CurrentTemplate, LoadedTemplate, TemplateSource};

/// Error in a template, with a message that starts with the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("{field}: {path} cannot be read: {reason}")]
    Unreadable { field: String, path: PathBuf, reason: String },
    #[error("{field}: must be YAML or JSON: {reason}")]
    NotWellFormed { field: String, reason: String },
    #[error("residencies: must contain at least one region")]
    NoRegion,
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

impl Template {
    /// Parses YAML or JSON. The error contains the position of a syntax error.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)
                .map_err(|error| format!("line {}, column {} is not JSON", error.line(), error.column()))?
        } else {
            yaml::parse(text)?
        };
        match value {
            Value::Object(root) => Ok(Self { root }),
            _ => Err("a template is an object with the section Resources".to_owned()),
        }
    }

    /// Creates a template of which only the declared parameters are known.
    fn of_parameters(parameters: Map<String, Value>) -> Self {
        Self { root: Map::from_iter([("Parameters".to_owned(), Value::Object(parameters))]) }
    }

    /// Returns the number of nested levels.
    pub(crate) fn depth(&self) -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or(0),
                Value::Object(fields) => 1 + fields.values().map(of).max().unwrap_or(0),
                _ => 0,
            }
        }
        1 + self.root.values().map(of).max().unwrap_or(0)
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
