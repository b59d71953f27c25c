//! Validation that functions refer to parameters, resources and conditions of the template.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Subject, TemplateReport};

/// Prefix of the names of CloudFormation's pseudo parameters, such as `AWS::Region`.
const PSEUDO_PARAMETER: &str = "AWS::";

pub(super) fn check(subject: &Subject<'_>, report: &mut TemplateReport) {
    let Subject { field, template, .. } = *subject;
    let names = |section| template.section(section).map(|(name, _)| name).collect::<BTreeSet<_>>();
    let (parameters, resources, conditions) = (names("Parameters"), names("Resources"), names("Conditions"));
    let mut used = Used::default();
    for section in ["Resources", "Outputs", "Conditions"] {
        for (_, entry) in template.section(section) {
            used.add(entry);
            if section != "Conditions" {
                used.conditions.extend(entry.get("Condition").and_then(Value::as_str));
            }
            used.resources.extend(texts(entry.get("DependsOn")));
        }
    }
    let unknown = |used: BTreeSet<&str>, known: &[&BTreeSet<&str>]| {
        let is_known =
            |name: &str| name.starts_with(PSEUDO_PARAMETER) || known.iter().any(|names| names.contains(name));
        used.into_iter().filter(|name| !is_known(name)).map(str::to_owned).collect::<Vec<_>>()
    };
    for (kind, unknown) in [
        ("parameter or resource", unknown(used.values, &[&parameters, &resources])),
        ("resource", unknown(used.resources, &[&resources])),
        ("condition", unknown(used.conditions, &[&conditions])),
    ] {
        for name in unknown {
            report.add(field, format_args!("must declare the {kind} `{name}`, to which the template refers"));
        }
    }
}

/// Names that functions of the template refer to.
#[derive(Default)]
struct Used<'a> {
    /// Names of parameters or resources in `Ref` and `Fn::Sub`.
    values: BTreeSet<&'a str>,
    resources: BTreeSet<&'a str>,
    conditions: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    fn add(&mut self, value: &'a Value) {
        if let Value::Array(items) = value {
            for item in items {
                self.add(item);
            }
        }
        let Value::Object(entries) = value else { return };
        // A function is an object with one entry. Other objects can have keys with the same names.
        if let (1, Some((name, argument))) = (entries.len(), entries.iter().next()) {
            match (name.as_str(), argument) {
                ("Ref", Value::String(name)) => _ = self.values.insert(name),
                ("Fn::GetAtt", argument) => {
                    let resource = texts(Some(argument)).into_iter().next();
                    self.resources.extend(resource.map(|path| path.split('.').next().unwrap_or(path)));
                }
                ("Fn::If", Value::Array(arguments)) => {
                    self.conditions.extend(arguments.first().and_then(Value::as_str));
                }
                ("Condition", Value::String(name)) => _ = self.conditions.insert(name),
                ("Fn::Sub", Value::String(text)) => self.add_placeholders(text, None),
                ("Fn::Sub", Value::Array(arguments)) => {
                    if let Some(text) = arguments.first().and_then(Value::as_str) {
                        self.add_placeholders(text, arguments.get(1));
                    }
                }
                _ => {}
            }
        }
        for value in entries.values() {
            self.add(value);
        }
    }

    /// Adds the names in `${…}` except those of `variables`. `${!name}` is literal text.
    fn add_placeholders(&mut self, text: &'a str, variables: Option<&Value>) {
        for part in text.split("${").skip(1) {
            let Some((name, _)) = part.split_once('}') else { continue };
            let name = name.trim();
            if name.starts_with('!') || variables.is_some_and(|variables| variables.get(name).is_some()) {
                continue;
            }
            match name.split_once('.') {
                Some((resource, _)) => _ = self.resources.insert(resource),
                None => _ = self.values.insert(name),
            }
        }
    }
}

/// Returns the strings in a list. A single string is treated as a list with one item.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
