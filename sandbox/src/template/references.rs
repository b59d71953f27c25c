//! Search for references to resources, parameters and conditions in a part of a template.

use serde_json::Value;

/// A reference through `Ref`, `Fn::GetAtt` or a variable in `Fn::Sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) attribute: Option<String>,
}

impl Reference {
    fn from_path(path: &str) -> Self {
        match path.split_once('.') {
            Some((name, attribute)) => Self { name: name.to_owned(), attribute: Some(attribute.to_owned()) },
            None => Self { name: path.to_owned(), attribute: None },
        }
    }

    pub(super) fn is_pseudo_parameter(&self) -> bool {
        self.name.starts_with("AWS::")
    }
}

/// Returns all references in `value`. `condition_value` returns the value of a condition, or `None` if it is unknown.
/// For an unknown condition, the references in both branches of an `Fn::If` are returned.
pub(super) fn find_references(value: &Value, condition_value: &dyn Fn(&str) -> Option<bool>) -> Vec<Reference> {
    let mut found = Vec::new();
    collect_references(value, condition_value, &mut found);
    found
}

/// Returns the names of all conditions that `value` refers to.
pub(super) fn find_condition_names(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_conditions(value, &mut found);
    found
}

fn collect_references(value: &Value, condition_value: &dyn Fn(&str) -> Option<bool>, found: &mut Vec<Reference>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, condition_value, found)),
        Value::Object(fields) => match single_entry(value) {
            Some(("Ref", Value::String(name))) => {
                found.push(Reference { name: name.clone(), attribute: None });
            }
            Some(("Fn::GetAtt", Value::Array(path))) => {
                if let Some(Value::String(name)) = path.first() {
                    let attribute = path.get(1).and_then(Value::as_str).unwrap_or_default().to_owned();
                    found.push(Reference { name: name.clone(), attribute: Some(attribute) });
                }
            }
            Some(("Fn::GetAtt", Value::String(path))) => found.push(Reference::from_path(path)),
            Some(("Fn::Sub", Value::String(text))) => found.extend(sub_references(text)),
            Some(("Fn::Sub", Value::Array(parts))) => {
                let variables = parts.get(1).and_then(Value::as_object);
                if let Some(Value::String(text)) = parts.first() {
                    let mut names = sub_references(text);
                    names.retain(|reference| {
                        !variables.is_some_and(|variables| variables.contains_key(&reference.name))
                    });
                    found.extend(names);
                }
                variables
                    .into_iter()
                    .flat_map(|variables| variables.values())
                    .for_each(|value| collect_references(value, condition_value, found));
            }
            Some(("Fn::If", Value::Array(parts))) => {
                let chosen = parts.first().and_then(Value::as_str).and_then(condition_value);
                for (position, branch) in parts.iter().enumerate().skip(1) {
                    if chosen.is_none_or(|is_true| is_true == (position == 1)) {
                        collect_references(branch, condition_value, found);
                    }
                }
            }
            _ => fields.values().for_each(|field| collect_references(field, condition_value, found)),
        },
        _ => {}
    }
}

fn collect_conditions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_conditions(item, found)),
        Value::Object(fields) => {
            match single_entry(value) {
                Some(("Condition", Value::String(name))) => found.push(name.clone()),
                Some(("Fn::If", Value::Array(parts))) => {
                    found.extend(parts.first().and_then(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
            fields.values().for_each(|field| collect_conditions(field, found));
        }
        _ => {}
    }
}

/// Calls `visit` with the name and the argument of each function in `value`.
pub(super) fn visit_functions<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a str, &'a Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit_functions(item, visit)),
        Value::Object(fields) => {
            if let Some((name, argument)) = single_entry(value)
                && name.starts_with("Fn::")
            {
                visit(name, argument);
            }
            fields.values().for_each(|field| visit_functions(field, visit));
        }
        _ => {}
    }
}

/// Returns the key and the value if `value` is an object with a single key. Intrinsic functions have this form.
pub(super) fn single_entry(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object()?;
    let (key, value) = fields.iter().next()?;
    (fields.len() == 1).then_some((key.as_str(), value))
}

/// A part of the text of `Fn::Sub`.
pub(super) enum SubPart<'a> {
    Text(&'a str),
    /// `${Name}` or `${Name.Attribute}`.
    Variable(&'a str),
    /// `${!Name}`, an escaped `${Name}`.
    Literal(&'a str),
}

pub(super) fn split_sub_text(text: &str) -> Vec<SubPart<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, following)) = after.split_once('}') else { break };
        pieces.push(SubPart::Text(before));
        pieces.push(match name.strip_prefix('!') {
            Some(literal) => SubPart::Literal(literal),
            None => SubPart::Variable(name.trim()),
        });
        rest = following;
    }
    pieces.push(SubPart::Text(rest));
    pieces
}

fn sub_references(text: &str) -> Vec<Reference> {
    split_sub_text(text)
        .into_iter()
        .filter_map(|piece| match piece {
            SubPart::Variable(name) => Some(Reference::from_path(name)),
            _ => None,
        })
        .collect()
}
