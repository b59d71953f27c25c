//! Binding of a template to parameter values: evaluates conditions and resolves intrinsic functions (`Ref`, `Fn::Sub`,
//! …).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::parameters::{self, scalar_text};
use super::references::{self, SubPart};
use super::{Output, ResourceDeclaration, Template, TemplateError};

/// Values of the pseudo parameters of a stack, such as `AWS::Region`.
#[derive(Debug, Clone, Default)]
pub(crate) struct PseudoParameters {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) stack_id: String,
    pub(crate) stack_name: String,
    /// Values that other stacks of the account and region export, by name.
    pub(crate) exports: BTreeMap<String, String>,
    pub(crate) notification_arns: Vec<String>,
}

/// Values of `Ref` and `Fn::GetAtt` for existing resources.
pub(crate) trait ResourceValues {
    /// Returns the value of `Ref` for a resource, which is usually the physical id.
    fn reference(&self, logical_id: &str) -> Option<Value>;
    /// Returns the value of `Fn::GetAtt` for an attribute of a resource.
    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value>;
}

/// A template with the parameter values of a stack and the resulting values of its conditions.
pub(crate) struct BoundTemplate {
    pub(super) template: Template,
    parameters: BTreeMap<String, Value>,
    conditions: BTreeMap<String, bool>,
    pseudo: PseudoParameters,
}

impl Template {
    /// Validates the parameter values, binds the template to them and evaluates its conditions.
    pub(crate) fn bind(
        self,
        values: &BTreeMap<String, String>,
        pseudo: PseudoParameters,
    ) -> Result<BoundTemplate, TemplateError> {
        let parameters = parameters::bind_parameter_values(&self.parameters, values)?;
        let mut bound = BoundTemplate { template: self, parameters, conditions: BTreeMap::new(), pseudo };
        bound.conditions = bound.evaluate_conditions()?;
        for resource in bound.resources() {
            let undefined: Vec<String> = bound
                .template
                .dependencies(resource, &|name| bound.conditions.get(name).copied())
                .into_iter()
                .filter(|id| !bound.exists(id))
                .collect();
            if !undefined.is_empty() {
                return Err(TemplateError::format(format_args!(
                    "Unresolved resource dependencies [{}] in the Resources block of the template",
                    undefined.join(", ")
                )));
            }
        }
        Ok(bound)
    }

    pub(crate) fn resource(&self, logical_id: &str) -> Option<&ResourceDeclaration> {
        self.resources.iter().find(|resource| resource.logical_id == logical_id)
    }

    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
    }

    /// Returns the logical ids of the resources that `resource` depends on, through `DependsOn` or references.
    pub(super) fn dependencies(
        &self,
        resource: &ResourceDeclaration,
        condition_value: &dyn Fn(&str) -> Option<bool>,
    ) -> BTreeSet<String> {
        let implied = references::find_references(&resource.properties, condition_value)
            .into_iter()
            .map(|reference| reference.name);
        implied.chain(resource.depends_on.iter().cloned()).filter(|id| self.resource(id).is_some()).collect()
    }
}

impl BoundTemplate {
    /// Returns the resources whose conditions are true, in the order of the template.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &ResourceDeclaration> {
        self.template.resources.iter().filter(|resource| self.is_condition_true(resource.condition.as_ref()))
    }

    /// Returns the outputs whose conditions are true.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.template.outputs.iter().filter(|output| self.is_condition_true(output.condition.as_ref()))
    }

    /// Returns the resource with this logical id, if its condition is true.
    pub(crate) fn resource(&self, logical_id: &str) -> Option<&ResourceDeclaration> {
        self.template.resource(logical_id).filter(|resource| self.is_condition_true(resource.condition.as_ref()))
    }

    /// Returns the logical ids of the resources that must exist before `resource` is created.
    pub(crate) fn dependencies(&self, resource: &ResourceDeclaration) -> BTreeSet<String> {
        let mut needs = self.template.dependencies(resource, &|name| self.conditions.get(name).copied());
        needs.retain(|id| self.exists(id));
        needs
    }

    /// Resolves all intrinsic functions in `value`.
    pub(crate) fn resolve(&self, value: &Value, resources: &dyn ResourceValues) -> Result<Value, TemplateError> {
        Ok(self.resolve_optional(value, resources)?.unwrap_or_else(|| json!({})))
    }

    /// Returns the names to which `value` refers, each with its attribute, if it refers to one. The branches of
    /// `Fn::If` that are not chosen are ignored.
    pub(crate) fn references(&self, value: &Value) -> Vec<(String, Option<String>)> {
        let found = references::find_references(value, &|name| self.conditions.get(name).copied());
        found.into_iter().map(|reference| (reference.name, reference.attribute)).collect()
    }

    fn exists(&self, logical_id: &str) -> bool {
        self.resource(logical_id).is_some()
    }

    fn is_condition_true(&self, condition: Option<&String>) -> bool {
        condition.is_none_or(|name| self.conditions.get(name).copied().unwrap_or(false))
    }

    /// Resolves all intrinsic functions in `value`. Returns `None` for `AWS::NoValue`, which removes the property or
    /// list item.
    pub(crate) fn resolve_optional(
        &self,
        value: &Value,
        resources: &dyn ResourceValues,
    ) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.resolve_optional(item, resources));
                Ok(Some(Value::Array(items.filter_map(Result::transpose).collect::<Result<_, _>>()?)))
            }
            Value::Object(fields) => {
                if let Some((name, argument)) = references::single_entry(value)
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.resolve_function(name, argument, resources);
                }
                let mut object = Map::new();
                for (key, field) in fields {
                    if let Some(field) = self.resolve_optional(field, resources)? {
                        object.insert(key.clone(), field);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
            other => Ok(Some(other.clone())),
        }
    }

    fn resolve_function(
        &self,
        name: &str,
        argument: &Value,
        resources: &dyn ResourceValues,
    ) -> Result<Option<Value>, TemplateError> {
        let invalid = |problem: &str| TemplateError::template(format_args!("{name} {problem}"));
        // Nested functions are resolved first, unless the argument must be a name.
        let resolved = |argument: &Value| {
            self.resolve_optional(argument, resources)?
                .ok_or_else(|| invalid("cannot take AWS::NoValue as an argument"))
        };
        match (name, argument) {
            ("Ref", Value::String(target)) => self.resolve_ref(target, resources),
            ("Fn::GetAtt", path) => {
                let path = match path {
                    Value::String(path) => path.split_once('.').map(|(id, attribute)| json!([id, attribute])),
                    other => Some(resolved(other)?),
                };
                match path.as_ref().and_then(Value::as_array).map(Vec::as_slice) {
                    Some([Value::String(id), Value::String(attribute)]) => {
                        self.resolve_attribute(id, attribute, resources).map(Some)
                    }
                    _ => Err(invalid("object requires two non-empty parameters, the resource name and the attribute")),
                }
            }
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &Map::new(), resources).map(Some),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(_)] => match resolved(&parts[1])? {
                    Value::Object(variables) => self.substitute(text, &variables, resources).map(Some),
                    _ => Err(invalid("takes an object as its second argument")),
                },
                _ => Err(invalid("takes a string, or a string and an object of variables")),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), yes, no] => {
                    let is_true = self.conditions.get(condition).copied().unwrap_or(false);
                    self.resolve_optional(if is_true { yes } else { no }, resources)
                }
                _ => Err(invalid("takes the name of a condition and two values")),
            },
            ("Fn::Join", argument) => match resolved(argument)?.as_array().map(Vec::as_slice) {
                Some([Value::String(delimiter), Value::Array(items)]) => {
                    let texts: Option<Vec<String>> = items.iter().map(scalar_text).collect();
                    let texts = texts.ok_or_else(|| invalid("takes a list of strings"))?;
                    Ok(Some(json!(texts.join(delimiter))))
                }
                _ => Err(invalid("takes a delimiter and a list of strings")),
            },
            ("Fn::Split", argument) => match resolved(argument)?.as_array().map(Vec::as_slice) {
                Some([Value::String(delimiter), Value::String(text)]) if !delimiter.is_empty() => {
                    Ok(Some(text.split(delimiter.as_str()).map(|part| json!(part)).collect()))
                }
                _ => Err(invalid("takes a delimiter and a string")),
            },
            ("Fn::Select", argument) => match resolved(argument)?.as_array().map(Vec::as_slice) {
                Some([index, Value::Array(items)]) => {
                    let index: usize = scalar_text(index)
                        .and_then(|index| index.parse().ok())
                        .ok_or_else(|| invalid("requires its first argument to be a number"))?;
                    let item = items.get(index).cloned();
                    item.map(Some).ok_or_else(|| invalid(&format!("cannot select nonexistent value at index {index}")))
                }
                _ => Err(invalid("takes an index and a list")),
            },
            ("Fn::FindInMap", argument) => {
                let keys: Option<Vec<String>> =
                    resolved(argument)?.as_array().and_then(|keys| keys.iter().map(scalar_text).collect());
                match keys.as_deref() {
                    Some([map, first, second]) => self.find_in_map(map, first, second).map(Some),
                    _ => Err(invalid("takes a map and two keys")),
                }
            }
            ("Fn::Base64", argument) => match resolved(argument)? {
                Value::String(text) => Ok(Some(json!(base64(text.as_bytes())))),
                _ => Err(invalid("takes a string")),
            },
            ("Fn::ImportValue", argument) => match resolved(argument)? {
                Value::String(name) => match self.pseudo.exports.get(&name) {
                    Some(value) => Ok(Some(json!(value))),
                    None => Err(TemplateError(format!("No export named {name} found"))),
                },
                _ => Err(invalid("takes the name of an export")),
            },
            ("Fn::GetAZs", argument) => {
                let region = resolved(argument)?.as_str().filter(|region| !region.is_empty()).map(str::to_owned);
                let region = region.unwrap_or_else(|| self.pseudo.region.clone());
                Ok(Some(["a", "b", "c"].iter().map(|zone| json!(format!("{region}{zone}"))).collect()))
            }
            ("Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or", _) => {
                Err(invalid("can only be used in the Conditions block"))
            }
            _ => Err(TemplateError::template(format_args!(
                "{name} is not supported by the simulated CloudFormation, or its argument is malformed"
            ))),
        }
    }

    fn resolve_ref(&self, target: &str, resources: &dyn ResourceValues) -> Result<Option<Value>, TemplateError> {
        let text = match target {
            "AWS::NoValue" => return Ok(None),
            "AWS::NotificationARNs" => return Ok(Some(json!(self.pseudo.notification_arns))),
            "AWS::AccountId" => &self.pseudo.account,
            "AWS::Region" => &self.pseudo.region,
            "AWS::StackId" => &self.pseudo.stack_id,
            "AWS::StackName" => &self.pseudo.stack_name,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            name => {
                let value = self.parameters.get(name).cloned().or_else(|| resources.reference(name));
                return value.map(Some).ok_or_else(|| unresolved_error(name));
            }
        };
        Ok(Some(json!(text)))
    }

    fn resolve_attribute(
        &self,
        id: &str,
        attribute: &str,
        resources: &dyn ResourceValues,
    ) -> Result<Value, TemplateError> {
        if resources.reference(id).is_none() {
            return Err(unresolved_error(id));
        }
        resources.attribute(id, attribute).ok_or_else(|| {
            let kind = self.template.resource(id).map(|resource| resource.kind.as_str()).unwrap_or_default();
            TemplateError(format!("Requested attribute {attribute} does not exist in schema for {kind}"))
        })
    }

    fn substitute(
        &self,
        text: &str,
        variables: &Map<String, Value>,
        resources: &dyn ResourceValues,
    ) -> Result<Value, TemplateError> {
        let mut result = String::new();
        for piece in references::split_sub_text(text) {
            match piece {
                SubPart::Text(text) => result.push_str(text),
                SubPart::Literal(name) => result.extend(["${", name, "}"]),
                SubPart::Variable(name) => {
                    let value = match (variables.get(name), name.split_once('.')) {
                        (Some(value), _) => value.clone(),
                        (None, Some((id, attribute))) => self.resolve_attribute(id, attribute, resources)?,
                        (None, None) => self.resolve_ref(name, resources)?.ok_or_else(|| unresolved_error(name))?,
                    };
                    let value = scalar_text(&value).ok_or_else(|| {
                        TemplateError::template(format_args!("variable {name} in Fn::Sub expression is not a string"))
                    })?;
                    result.push_str(&value);
                }
            }
        }
        Ok(json!(result))
    }

    fn find_in_map(&self, map: &str, first: &str, second: &str) -> Result<Value, TemplateError> {
        let found = self.template.mappings.get(map).and_then(|map| map.get(first)?.get(second)).cloned();
        found.ok_or_else(|| TemplateError::template(format_args!("Unable to get mapping for {map}::{first}::{second}")))
    }
}

fn unresolved_error(name: &str) -> TemplateError {
    TemplateError::format(format_args!(
        "Unresolved resource dependencies [{name}] in the Resources block of the template"
    ))
}

/// Encodes bytes as Base64 (RFC 4648) with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| (bits << 8) | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * at)) & 63]);
            text.push(if at <= chunk.len() { digit } else { '=' });
        }
    }
    text
}
