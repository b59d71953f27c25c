//! Parser of templates: converts YAML or JSON text to the long form, and then parses each section into a [`Template`].

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use super::parameters::Parameter;
use super::{Output, ResourceDeclaration, Template, TemplateError};

const SECTIONS: [&str; 9] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
];

pub(super) fn parse_template(text: &str) -> Result<Template, TemplateError> {
    let Value::Object(mut root) = parse_long_form(text)? else {
        return Err(TemplateError::format("unsupported structure."));
    };
    let transforms = parse_transforms(root.remove("Transform"))?;
    let unknown: Vec<_> = root.keys().filter(|key| !SECTIONS.contains(&key.as_str())).cloned().collect();
    if !unknown.is_empty() {
        return Err(TemplateError(format!("Invalid template property or properties [{}]", unknown.join(", "))));
    }
    if let Some(version) = root.get("AWSTemplateFormatVersion").filter(|version| **version != "2010-09-09") {
        return Err(TemplateError::format(format_args!("Unsupported version {version}; it must be 2010-09-09.")));
    }
    let description = match root.remove("Description") {
        None => None,
        Some(Value::String(text)) if text.len() <= 1024 => Some(text),
        Some(Value::String(_)) => {
            return Err(TemplateError::format("'Description' length is greater than 1024."));
        }
        Some(_) => return Err(TemplateError::format("Description must be a string.")),
    };
    let resources = take_section(&mut root, "Resources")?;
    if resources.is_empty() {
        return Err(TemplateError::format("At least one Resources member must be defined."));
    }
    Ok(Template {
        description,
        transforms,
        parameters: take_section(&mut root, "Parameters")?
            .into_iter()
            .map(|(name, value)| Parameter::parse(name, &value))
            .collect::<Result<_, _>>()?,
        mappings: take_section(&mut root, "Mappings")?,
        conditions: take_section(&mut root, "Conditions")?,
        resources: resources.into_iter().map(|(id, value)| parse_resource(id, value)).collect::<Result<_, _>>()?,
        outputs: take_section(&mut root, "Outputs")?
            .into_iter()
            .map(|(key, value)| parse_output(key, value))
            .collect::<Result<_, _>>()?,
    })
}

/// Returns the names of the macros in the section `Transform`, which contains one macro or a list of macros.
fn parse_transforms(section: Option<Value>) -> Result<Vec<String>, TemplateError> {
    let items = match section {
        None => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    let name = |item: Value| match item {
        Value::String(name) => Some(name),
        macro_with_parameters => macro_with_parameters.get("Name")?.as_str().map(str::to_owned),
    };
    let names: Option<Vec<String>> = items.into_iter().map(name).collect();
    names.ok_or_else(|| TemplateError::format("Transform must be a string, an object with a Name, or a list of them."))
}

fn take_section(root: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, TemplateError> {
    match root.remove(name) {
        None => Ok(Map::new()),
        Some(Value::Object(entries)) => Ok(entries),
        Some(_) => Err(TemplateError::format(format_args!("{name} must be an object."))),
    }
}

fn parse_resource(logical_id: String, value: Value) -> Result<ResourceDeclaration, TemplateError> {
    const ATTRIBUTES: [&str; 9] = [
        "Type",
        "Properties",
        "DependsOn",
        "Condition",
        "DeletionPolicy",
        "UpdateReplacePolicy",
        "UpdatePolicy",
        "CreationPolicy",
        "Metadata",
    ];
    if logical_id.is_empty() || !logical_id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(TemplateError::format(format_args!("Resource name {logical_id} is non alphanumeric.")));
    }
    let Value::Object(mut fields) = value else {
        return Err(TemplateError::format("[/Resources] resource definition is malformed"));
    };
    if let Some(unknown) = fields.keys().find(|key| !ATTRIBUTES.contains(&key.as_str())) {
        return Err(TemplateError(format!("Invalid template resource property '{unknown}'")));
    }
    let Some(Value::String(kind)) = fields.remove("Type") else {
        return Err(TemplateError::format(format_args!(
            "[/Resources/{logical_id}] Every Resources object must contain a Type member."
        )));
    };
    let depends_on = match fields.remove("DependsOn") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            many.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(_) => return Err(TemplateError::format("DependsOn must be a string or list of strings.")),
    };
    let properties = match fields.remove("Properties") {
        None => json!({}),
        Some(properties @ Value::Object(_)) => properties,
        Some(_) => {
            return Err(TemplateError::format(format_args!("[/Resources/{logical_id}] Properties must be an object.")));
        }
    };
    let retained = match fields.get("DeletionPolicy") {
        None => false,
        Some(policy) if policy == "Delete" => false,
        Some(policy) if policy == "Retain" => true,
        Some(policy) if policy == "RetainExceptOnCreate" => true,
        Some(policy) => {
            return Err(TemplateError::format(format_args!("Unrecognized DeletionPolicy {policy} for {logical_id}")));
        }
    };
    Ok(ResourceDeclaration {
        condition: condition_name(fields.remove("Condition"))?,
        logical_id,
        kind,
        depends_on,
        retained,
        retained_except_on_create: fields.get("DeletionPolicy").is_some_and(|policy| policy == "RetainExceptOnCreate"),
        properties,
    })
}

fn parse_output(key: String, value: Value) -> Result<Output, TemplateError> {
    let Value::Object(mut fields) = value else {
        return Err(TemplateError::format(format_args!("[/Outputs/{key}] must be an object.")));
    };
    let Some(value) = fields.remove("Value") else {
        return Err(TemplateError::format(format_args!(
            "[/Outputs/{key}] Every Outputs member must contain a Value object"
        )));
    };
    let description = fields.get("Description").and_then(Value::as_str).map(str::to_owned);
    let export = fields.get("Export").and_then(|export| export.get("Name")).cloned();
    Ok(Output { key, description, condition: condition_name(fields.remove("Condition"))?, value, export })
}

fn condition_name(value: Option<Value>) -> Result<Option<String>, TemplateError> {
    match value {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name)),
        Some(_) => Err(TemplateError::format("Every Condition member must be a string.")),
    }
}

fn parse_long_form(text: &str) -> Result<Value, TemplateError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            TemplateError::format(format_args!(
                "JSON not well-formed. (line {}, column {})",
                error.line(),
                error.column()
            ))
        });
    }
    let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| {
        let location = error
            .location()
            .map(|location| format!(" (line {}, column {})", location.line(), location.column()))
            .unwrap_or_default();
        TemplateError::format(format_args!("YAML not well-formed.{location}"))
    })?;
    yaml_to_json(yaml)
}

/// Converts YAML to JSON and short forms such as `!Sub x` to long forms such as `{"Fn::Sub": x}`.
fn yaml_to_json(yaml: Yaml) -> Result<Value, TemplateError> {
    Ok(match yaml {
        // CloudFormation rejects null values.
        Yaml::Null => return Err(TemplateError::format("[/] 'null' values are not allowed in templates")),
        Yaml::Bool(flag) => json!(flag),
        Yaml::Number(number) => serde_json::to_value(&number).unwrap_or_else(|_| json!(number.to_string())),
        Yaml::String(text) => json!(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(yaml_to_json).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                object.insert(yaml_key(key)?, yaml_to_json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            let name = name.trim_start_matches('!');
            let value = yaml_to_json(tagged.value)?;
            match (name, value) {
                ("Ref" | "Condition", value) => json!({ name: value }),
                ("GetAtt", Value::String(path)) => match path.split_once('.') {
                    Some((resource, attribute)) => json!({ "Fn::GetAtt": [resource, attribute] }),
                    None => json!({ "Fn::GetAtt": [path] }),
                },
                (name, value) => json!({ format!("Fn::{name}"): value }),
            }
        }
    })
}

fn yaml_key(key: Yaml) -> Result<String, TemplateError> {
    match key {
        Yaml::String(text) => Ok(text),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(flag) => Ok(flag.to_string()),
        _ => Err(TemplateError::format("YAML not well-formed: a key must be a scalar.")),
    }
}
