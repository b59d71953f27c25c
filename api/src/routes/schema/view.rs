//! View of a response: the fields that a token of one tenant sees.

use serde_json::Value;

/// Fields of a response schema that a token of one tenant sees.
#[derive(Debug)]
pub(crate) struct TenantView {
    /// Name of the schema in the OpenAPI document.
    pub(crate) schema: &'static str,
    /// Fields that are sent unchanged.
    pub(crate) visible: &'static [&'static str],
    /// Fields with objects or lists of objects, which are restricted by a view of their own.
    pub(crate) parts: &'static [(&'static str, &'static TenantView)],
    /// Fields that are sent with another value.
    pub(crate) replaced: &'static [(&'static str, &'static str)],
    /// Fields that are not sent. The list has no effect on responses: a field that is missing here is not sent either.
    /// A test requires that each field is declared.
    pub(crate) hidden: &'static [&'static str],
}

impl TenantView {
    /// Returns the value with the visible fields only. A list is restricted entry by entry.
    pub(crate) fn restrict(&self, value: Value) -> Value {
        match value {
            Value::Array(values) => values.into_iter().map(|value| self.restrict(value)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().filter_map(|field| self.restrict_field(field)).collect())
            }
            _ => Value::Null,
        }
    }

    fn restrict_field(&self, (name, value): (String, Value)) -> Option<(String, Value)> {
        if self.visible.contains(&name.as_str()) {
            return Some((name, value));
        }
        if let Some((_, replacement)) = self.replaced.iter().find(|(field, _)| *field == name) {
            return Some((name, (*replacement).into()));
        }
        let (_, view) = self.parts.iter().find(|(field, _)| *field == name)?;
        Some((name, view.restrict(value)))
    }
}
