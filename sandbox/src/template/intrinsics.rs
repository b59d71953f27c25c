//! A template with its parameters: conditions decided, `Ref`, `Fn::Sub` and the rest worked out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::parameters::{self, scalar};
use super::references::{self, Piece};
use super::{Declaration, Output, Template, TemplateError};

/// What the pseudo-parameters stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pseudo {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) stack_id: String,
    pub(crate) stack_name: String,
}

/// What `Ref` and `Fn::GetAtt` say about resources that exist.
pub(crate) trait Resolved {
    /// `Ref`: nearly always the physical id.
    fn reference(&self, logical_id: &str) -> Option<Value>;
    /// `Fn::GetAtt`.
    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value>;
}

/// A template bound to its parameters.
pub(crate) struct Scope {
    pub(super) template: Template,
    parameters: BTreeMap<String, Value>,
    conditions: BTreeMap<String, bool>,
    pseudo: Pseudo,
}

impl Template {
    /// Binds the template to the parameters that a request gave.
    pub(crate) fn bind(self, given: &BTreeMap<String, String>, pseudo: Pseudo) -> Result<Scope, TemplateError> {
        let parameters = parameters::bind(&self.parameters, given)?;
        let mut scope = Scope { template: self, parameters, conditions: BTreeMap::new(), pseudo };
        scope.conditions = scope.decide_conditions()?;
        for resource in scope.resources() {
            let strays: Vec<String> = scope
                .template
                .dependencies(resource, &|name| scope.conditions.get(name).copied())
                .into_iter()
                .filter(|id| !scope.exists(id))
                .collect();
            if !strays.is_empty() {
                return Err(TemplateError::format(format_args!(
                    "Unresolved resource dependencies [{}] in the Resources block of the template",
                    strays.join(", ")
                )));
            }
        }
        Ok(scope)
    }

    pub(crate) fn resource(&self, logical_id: &str) -> Option<&Declaration> {
        self.resources.iter().find(|resource| resource.logical_id == logical_id)
    }

    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
    }

    /// The resources that `resource` needs first, said outright or implied.
    pub(super) fn dependencies(
        &self,
        resource: &Declaration,
        choose: &dyn Fn(&str) -> Option<bool>,
    ) -> BTreeSet<String> {
        let implied = references::of(&resource.properties, choose).into_iter().map(|reference| reference.name);
        implied.chain(resource.depends_on.iter().cloned()).filter(|id| self.resource(id).is_some()).collect()
    }
}

impl Scope {
    /// The resources whose conditions hold, in the order of the template.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &Declaration> {
        self.template.resources.iter().filter(|resource| self.holds(resource.condition.as_ref()))
    }

    /// The outputs whose conditions hold.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.template.outputs.iter().filter(|output| self.holds(output.condition.as_ref()))
    }

    /// The resource of this name, if its condition holds.
    pub(crate) fn resource(&self, logical_id: &str) -> Option<&Declaration> {
        self.template.resource(logical_id).filter(|resource| self.holds(resource.condition.as_ref()))
    }

    /// The resources that must exist before this one.
    pub(crate) fn dependencies(&self, resource: &Declaration) -> BTreeSet<String> {
        let mut needs = self.template.dependencies(resource, &|name| self.conditions.get(name).copied());
        needs.retain(|id| self.exists(id));
        needs
    }

    /// Works out every intrinsic function in `value`.
    pub(crate) fn resolve(&self, value: &Value, resources: &dyn Resolved) -> Result<Value, TemplateError> {
        Ok(self.value(value, resources)?.unwrap_or_else(|| json!({})))
    }

    fn exists(&self, logical_id: &str) -> bool {
        self.resource(logical_id).is_some()
    }

    fn holds(&self, condition: Option<&String>) -> bool {
        condition.is_none_or(|name| self.conditions.get(name).copied().unwrap_or(false))
    }

    /// `None` stands for `AWS::NoValue`: the property, or the item of a list, is not there.
    pub(super) fn value(&self, value: &Value, resources: &dyn Resolved) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.value(item, resources));
                Ok(Some(Value::Array(items.filter_map(Result::transpose).collect::<Result<_, _>>()?)))
            }
            Value::Object(fields) => {
                if let Some((name, argument)) = references::sole(value)
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.function(name, argument, resources);
                }
                let mut object = Map::new();
                for (key, field) in fields {
                    if let Some(field) = self.value(field, resources)? {
                        object.insert(key.clone(), field);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
            other => Ok(Some(other.clone())),
        }
    }

    fn function(&self, name: &str, argument: &Value, resources: &dyn Resolved) -> Result<Option<Value>, TemplateError> {
        let invalid = |wants: &str| TemplateError::template(format_args!("{name} {wants}"));
        // Nested functions are worked out first, except where the argument names something.
        let resolved = |argument: &Value| {
            self.value(argument, resources)?.ok_or_else(|| invalid("cannot take AWS::NoValue as an argument"))
        };
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(target, resources),
            ("Fn::GetAtt", path) => {
                let path = match path {
                    Value::String(path) => path.split_once('.').map(|(id, attribute)| json!([id, attribute])),
                    other => Some(resolved(other)?),
                };
                match path.as_ref().and_then(Value::as_array).map(Vec::as_slice) {
                    Some([Value::String(id), Value::String(attribute)]) => {
                        self.attribute(id, attribute, resources).map(Some)
                    }
                    _ => Err(invalid("object requires two non-empty parameters, the resource name and the attribute")),
                }
            }
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &Map::new(), resources).map(Some),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(_)] => match resolved(&parts[1])? {
                    Value::Object(own) => self.substitute(text, &own, resources).map(Some),
                    _ => Err(invalid("takes an object as its second argument")),
                },
                _ => Err(invalid("takes a string, or a string and an object of variables")),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), yes, no] => {
                    let holds = self.conditions.get(condition).copied().unwrap_or(false);
                    self.value(if holds { yes } else { no }, resources)
                }
                _ => Err(invalid("takes the name of a condition and two values")),
            },
            ("Fn::Join", argument) => match resolved(argument)?.as_array().map(Vec::as_slice) {
                Some([Value::String(delimiter), Value::Array(items)]) => {
                    let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
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
                    let index: usize = scalar(index)
                        .and_then(|index| index.parse().ok())
                        .ok_or_else(|| invalid("requires its first argument to be a number"))?;
                    let item = items.get(index).cloned();
                    item.map(Some).ok_or_else(|| invalid(&format!("cannot select nonexistent value at index {index}")))
                }
                _ => Err(invalid("takes an index and a list")),
            },
            ("Fn::FindInMap", argument) => {
                let keys: Option<Vec<String>> =
                    resolved(argument)?.as_array().and_then(|keys| keys.iter().map(scalar).collect());
                match keys.as_deref() {
                    Some([map, first, second]) => self.find_in_map(map, first, second).map(Some),
                    _ => Err(invalid("takes a map and two keys")),
                }
            }
            ("Fn::Base64", argument) => match resolved(argument)? {
                Value::String(text) => Ok(Some(json!(base64(text.as_bytes())))),
                _ => Err(invalid("takes a string")),
            },
            ("Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or", _) => {
                Err(invalid("can only be used in the Conditions block"))
            }
            _ => Err(TemplateError::template(format_args!(
                "{name} is not a function that this simulated CloudFormation knows, or its argument is malformed"
            ))),
        }
    }

    fn reference(&self, target: &str, resources: &dyn Resolved) -> Result<Option<Value>, TemplateError> {
        let text = match target {
            "AWS::NoValue" => return Ok(None),
            "AWS::NotificationARNs" => return Ok(Some(json!([]))),
            "AWS::AccountId" => &self.pseudo.account,
            "AWS::Region" => &self.pseudo.region,
            "AWS::StackId" => &self.pseudo.stack_id,
            "AWS::StackName" => &self.pseudo.stack_name,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            name => {
                let value = self.parameters.get(name).cloned().or_else(|| resources.reference(name));
                return value.map(Some).ok_or_else(|| unresolved(name));
            }
        };
        Ok(Some(json!(text)))
    }

    fn attribute(&self, id: &str, attribute: &str, resources: &dyn Resolved) -> Result<Value, TemplateError> {
        if resources.reference(id).is_none() {
            return Err(unresolved(id));
        }
        resources.attribute(id, attribute).ok_or_else(|| {
            let kind = self.template.resource(id).map(|resource| resource.kind.as_str()).unwrap_or_default();
            TemplateError(format!("Requested attribute {attribute} does not exist in schema for {kind}"))
        })
    }

    fn substitute(
        &self,
        text: &str,
        own: &Map<String, Value>,
        resources: &dyn Resolved,
    ) -> Result<Value, TemplateError> {
        let mut answer = String::new();
        for piece in references::pieces(text) {
            match piece {
                Piece::Text(text) => answer.push_str(text),
                Piece::Literal(name) => answer.extend(["${", name, "}"]),
                Piece::Variable(name) => {
                    let value = match (own.get(name), name.split_once('.')) {
                        (Some(value), _) => value.clone(),
                        (None, Some((id, attribute))) => self.attribute(id, attribute, resources)?,
                        (None, None) => self.reference(name, resources)?.ok_or_else(|| unresolved(name))?,
                    };
                    let value = scalar(&value).ok_or_else(|| {
                        TemplateError::template(format_args!("variable {name} in Fn::Sub expression is not a string"))
                    })?;
                    answer.push_str(&value);
                }
            }
        }
        Ok(json!(answer))
    }

    fn find_in_map(&self, map: &str, first: &str, second: &str) -> Result<Value, TemplateError> {
        let found = self.template.mappings.get(map).and_then(|map| map.get(first)?.get(second)).cloned();
        found.ok_or_else(|| TemplateError::template(format_args!("Unable to get mapping for {map}::{first}::{second}")))
    }
}

fn unresolved(name: &str) -> TemplateError {
    TemplateError::format(format_args!(
        "Unresolved resource dependencies [{name}] in the Resources block of the template"
    ))
}

/// RFC 4648, with padding.
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
