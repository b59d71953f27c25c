//! Parsing, validation and resolution of CloudFormation templates. The functions are pure and do not depend on accounts
//! or stacks.
//!
//! Error messages are the same as in CloudFormation, because callers and operators depend on them.

mod check;
mod conditions;
mod intrinsics;
mod parameters;
mod parse;
mod references;

use serde_json::{Map, Value};

pub(crate) use intrinsics::{BoundTemplate, PseudoParameters, ResourceValues};
pub(crate) use parameters::Parameter;

/// Message of the `ValidationError` for an invalid template or invalid parameters.
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

/// A parsed template. Intrinsic functions are in long form (`{"Ref": …}`, `{"Fn::Sub": …}`), and all entries keep their
/// order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    pub(crate) description: Option<String>,
    /// Macros of the section `Transform`.
    pub(crate) transforms: Vec<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) mappings: Map<String, Value>,
    pub(crate) conditions: Map<String, Value>,
    pub(crate) resources: Vec<ResourceDeclaration>,
    pub(crate) outputs: Vec<Output>,
}

/// An entry of the template section `Resources`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResourceDeclaration {
    pub(crate) logical_id: String,
    pub(crate) kind: String,
    pub(crate) condition: Option<String>,
    pub(crate) depends_on: Vec<String>,
    /// True if the resource is kept when its stack is deleted (`DeletionPolicy: Retain`).
    pub(crate) retained: bool,
    /// True if the resource is deleted nevertheless when the operation that creates it fails (`RetainExceptOnCreate`).
    pub(crate) retained_except_on_create: bool,
    pub(crate) properties: Value,
}

/// An entry of the template section `Outputs`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) key: String,
    pub(crate) description: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) value: Value,
    /// Name under which other stacks can import the value.
    pub(crate) export: Option<Value>,
}

impl Template {
    /// Parses a YAML or JSON template and performs all checks that do not depend on parameter values.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = parse::parse_template(text)?;
        check::check_template(&template)?;
        Ok(template)
    }

    /// Returns the capabilities that a caller must acknowledge, for macros and for IAM resources.
    pub(crate) fn capabilities(&self) -> Vec<&'static str> {
        const NAMES: [&str; 5] = ["RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName"];
        let iam = self.resources.iter().filter(|resource| resource.kind.starts_with("AWS::IAM::"));
        let for_iam = iam.map(|resource| {
            let is_named =
                resource.kind != "AWS::IAM::Policy" && NAMES.iter().any(|key| resource.properties.get(key).is_some());
            if is_named { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" }
        });
        let for_macros = (!self.macros().is_empty()).then_some("CAPABILITY_AUTO_EXPAND");
        for_macros.into_iter().chain(for_iam.max()).collect()
    }

    /// Returns the names of all macros, in the section `Transform` and in `Fn::Transform`.
    pub(crate) fn macros(&self) -> Vec<String> {
        let mut names = self.transforms.clone();
        for value in self.resources.iter().map(|resource| &resource.properties) {
            references::visit_functions(value, &mut |name, argument| {
                if name == "Fn::Transform" {
                    names.push(argument.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned());
                }
            });
        }
        names
    }
}

#[cfg(test)]
mod tests;
