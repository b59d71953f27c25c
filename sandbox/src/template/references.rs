//! Which names a part of a template refers to.

use serde_json::Value;

/// A `Ref` (no attribute) or a `Fn::GetAtt`, also inside a `Fn::Sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) attribute: Option<String>,
}

impl Reference {
    fn path(path: &str) -> Self {
        match path.split_once('.') {
            Some((name, attribute)) => Self { name: name.to_owned(), attribute: Some(attribute.to_owned()) },
            None => Self { name: path.to_owned(), attribute: None },
        }
    }

    pub(super) fn is_pseudo(&self) -> bool {
        self.name.starts_with("AWS::")
    }
}

/// Every reference in `value`. `choose` says how a condition turned out; with `None`, both branches of an `Fn::If` count.
pub(super) fn of(value: &Value, choose: &dyn Fn(&str) -> Option<bool>) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(value, choose, &mut found);
    found
}

/// Every condition that `value` names.
pub(super) fn conditions(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_conditions(value, &mut found);
    found
}

fn collect(value: &Value, choose: &dyn Fn(&str) -> Option<bool>, found: &mut Vec<Reference>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, choose, found)),
        Value::Object(fields) => match sole(value) {
            Some(("Ref", Value::String(name))) => {
                found.push(Reference { name: name.clone(), attribute: None });
            }
            Some(("Fn::GetAtt", Value::Array(path))) => {
                if let Some(Value::String(name)) = path.first() {
                    let attribute = path.get(1).and_then(Value::as_str).unwrap_or_default().to_owned();
                    found.push(Reference { name: name.clone(), attribute: Some(attribute) });
                }
            }
            Some(("Fn::GetAtt", Value::String(path))) => found.push(Reference::path(path)),
            Some(("Fn::Sub", Value::String(text))) => found.extend(variables(text)),
            Some(("Fn::Sub", Value::Array(parts))) => {
                let own = parts.get(1).and_then(Value::as_object);
                if let Some(Value::String(text)) = parts.first() {
                    let mut names = variables(text);
                    names.retain(|reference| !own.is_some_and(|own| own.contains_key(&reference.name)));
                    found.extend(names);
                }
                own.into_iter().flat_map(|own| own.values()).for_each(|value| collect(value, choose, found));
            }
            Some(("Fn::If", Value::Array(parts))) => {
                let chosen = parts.first().and_then(Value::as_str).and_then(choose);
                for (position, branch) in parts.iter().enumerate().skip(1) {
                    if chosen.is_none_or(|holds| holds == (position == 1)) {
                        collect(branch, choose, found);
                    }
                }
            }
            _ => fields.values().for_each(|field| collect(field, choose, found)),
        },
        _ => {}
    }
}

fn collect_conditions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_conditions(item, found)),
        Value::Object(fields) => {
            match sole(value) {
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

/// The key and value of an object that has one key only, as every intrinsic function is.
pub(super) fn sole(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object()?;
    let (key, value) = fields.iter().next()?;
    (fields.len() == 1).then_some((key.as_str(), value))
}

/// A piece of the text of a `Fn::Sub`.
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// `${Name}` or `${Name.Attribute}`.
    Variable(&'a str),
    /// `${!Name}`, which stands for `${Name}` itself.
    Literal(&'a str),
}

pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, following)) = after.split_once('}') else { break };
        pieces.push(Piece::Text(before));
        pieces.push(match name.strip_prefix('!') {
            Some(literal) => Piece::Literal(literal),
            None => Piece::Variable(name.trim()),
        });
        rest = following;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn variables(text: &str) -> Vec<Reference> {
    pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Variable(name) => Some(Reference::path(name)),
            _ => None,
        })
        .collect()
}
