//! CloudFormation templates: read, checked and resolved. Pure: nothing here knows an account or a stack's progress.
//!
//! What CloudFormation refuses is refused with its words, because a caller branches on them and a person reads them.

mod check;
mod conditions;
mod intrinsics;
mod parameters;
mod parse;
mod references;

use serde_json::{Map, Value};

pub(crate) use intrinsics::{Pseudo, Resolved, Scope};
pub(crate) use parameters::Parameter;

/// Why a template, or a template with these parameters, is not valid: the message of a `ValidationError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TemplateError(pub(crate) String);

impl TemplateError {
    fn format(text: impl std::fmt::Display) -> Self {
        Self(format!("Template format error: {text}"))
    }

    fn template(text: impl std::fmt::Display) -> Self {
        Self(format!("Template error: {text}"))
    }
}

/// A template in its long form (`{"Ref": …}`, `{"Fn::Sub": …}`), in the order in which it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    pub(crate) description: Option<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) mappings: Map<String, Value>,
    pub(crate) conditions: Map<String, Value>,
    pub(crate) resources: Vec<Declaration>,
    pub(crate) outputs: Vec<Output>,
}

/// One entry of `Resources`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declaration {
    pub(crate) logical_id: String,
    pub(crate) kind: String,
    pub(crate) condition: Option<String>,
    pub(crate) depends_on: Vec<String>,
    /// `DeletionPolicy: Retain`: the resource outlives its stack.
    pub(crate) retained: bool,
    pub(crate) properties: Value,
}

/// One entry of `Outputs`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) key: String,
    pub(crate) description: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) value: Value,
}

impl Template {
    /// Reads a template, YAML or JSON, and checks what can be checked without parameters.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = parse::read(text)?;
        check::template(&template)?;
        Ok(template)
    }

    /// What a caller must acknowledge before this template may create IAM resources, with AWS's reason for it.
    pub(crate) fn capability(&self) -> Option<&'static str> {
        const NAMES: [&str; 4] = ["RoleName", "ManagedPolicyName", "UserName", "GroupName"];
        let iam = self.resources.iter().filter(|resource| resource.kind.starts_with("AWS::IAM::"));
        iam.map(|resource| {
            let named =
                resource.kind != "AWS::IAM::Policy" && NAMES.iter().any(|key| resource.properties.get(key).is_some());
            if named { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" }
        })
        .max()
    }
}

#[cfg(test)]
mod tests;
