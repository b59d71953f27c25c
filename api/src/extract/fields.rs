//! Request fields that are parsed one by one, so that the error response lists all invalid fields instead of only the
//! first.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use freehold_tenancy::excerpt::{MAX_LISTED, shorten};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::problem::{ApiError, Code, FieldError};

/// Maximum length of an unknown field name in an error response, in characters.
const MAX_FIELD_NAME_CHARS: usize = 64;

/// Maximum length of the message of an error, which may contain the invalid value, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Request fields that are not parsed yet, and the errors of the fields that were parsed.
pub(crate) struct Fields {
    code: Code,
    values: Map<String, Value>,
    /// Errors found first; a response contains at most [`MAX_LISTED`].
    errors: Vec<FieldError>,
    /// Number of all errors.
    error_count: usize,
}

impl Fields {
    pub(super) fn from_body(values: Map<String, Value>) -> Self {
        Self { code: Code::ValidationFailed, values, errors: Vec::new(), error_count: 0 }
    }

    pub(super) fn from_query(values: Map<String, Value>) -> Self {
        Self { code: Code::InvalidQuery, values, errors: Vec::new(), error_count: 0 }
    }

    /// Returns the values that are not parsed yet.
    pub(crate) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Returns whether the field has a value other than `null`. A `null` value is removed.
    pub(crate) fn has_value(&mut self, name: &str) -> bool {
        self.take_null(name);
        self.values.contains_key(name)
    }

    /// Removes the field if its value is `null`, and returns whether the field was removed.
    pub(crate) fn take_null(&mut self, name: &str) -> bool {
        let is_null = self.values.get(name).is_some_and(Value::is_null);
        if is_null {
            self.values.shift_remove(name);
        }
        is_null
    }

    /// Removes the `null` values from an object field and returns their keys.
    pub(crate) fn take_null_keys(&mut self, name: &str) -> Vec<String> {
        let Some(Value::Object(values)) = self.values.get_mut(name) else { return Vec::new() };
        let nulls: Vec<_> = values.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.clone()).collect();
        values.retain(|_, value| !value.is_null());
        nulls
    }

    /// Parses an optional field. Returns `None` if the field is missing or invalid.
    pub(crate) fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        self.parse(name.to_owned(), &value, "invalid")
    }

    /// Parses a required field. Returns `None` and records an error if the field is missing or invalid.
    pub(crate) fn required<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.required_with_code(name, "invalid")
    }

    /// Parses a required field; `code` is the error code for an invalid value.
    pub(crate) fn required_with_code<T: FromStr<Err: Display>>(&mut self, name: &str, code: &str) -> Option<T> {
        let Some(value) = self.take(name) else {
            self.error(name, "missing", "this field is required");
            return None;
        };
        self.parse(name.to_owned(), &value, code)
    }

    /// Parses an optional field that is `true` or `false`. Returns `None` if the field is missing or invalid.
    pub(crate) fn optional_bool(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?.as_bool();
        if value.is_none() {
            self.error(name, "wrong_type", "must be true or false");
        }
        value
    }

    /// Parses a list of strings. Returns the length of the list and the valid values with their indexes.
    pub(crate) fn list<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<(usize, Vec<(usize, T)>)> {
        self.list_with_code(name, "invalid")
    }

    /// Parses a list of strings; `code` is the error code for an invalid value. Returns the length of the list and the
    /// valid values with their indexes.
    pub(crate) fn list_with_code<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
        code: &str,
    ) -> Option<(usize, Vec<(usize, T)>)> {
        let Value::Array(values) = self.take(name)? else {
            self.error(name, "wrong_type", "must be a list of strings");
            return None;
        };
        let mut parsed = Vec::new();
        for (index, value) in values.iter().enumerate() {
            parsed.extend(self.parse(format!("{name}[{index}]"), value, code).map(|value| (index, value)));
        }
        Some((values.len(), parsed))
    }

    /// Parses an object whose values are strings.
    pub(crate) fn string_map(&mut self, name: &str) -> Option<BTreeMap<String, String>> {
        let Value::Object(values) = self.take(name)? else {
            self.error(name, "wrong_type", "must be an object whose values are strings");
            return None;
        };
        let mut texts = BTreeMap::new();
        for (key, value) in values {
            match value {
                Value::String(text) => _ = texts.insert(key, text),
                _ => self.error(format!("{name}.{}", sanitize_field_name(&key)), "wrong_type", "must be a string"),
            }
        }
        Some(texts)
    }

    /// Parses an object whose values have the form of `T`.
    pub(crate) fn object_map<T: DeserializeOwned>(&mut self, name: &str) -> BTreeMap<String, T> {
        let values = match self.take(name) {
            None => return BTreeMap::new(),
            Some(Value::Object(values)) => values,
            Some(_) => {
                self.error(name, "wrong_type", "must be an object");
                return BTreeMap::new();
            }
        };
        let mut parsed = BTreeMap::new();
        for (key, value) in values {
            match serde_json::from_value(value) {
                Ok(value) => _ = parsed.insert(key, value),
                Err(error) => {
                    self.error(format!("{name}.{}", sanitize_field_name(&key)), "wrong_type", error.to_string());
                }
            }
        }
        parsed
    }

    /// Records an error for a field.
    pub(crate) fn error(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        self.error_count += 1;
        if self.errors.len() < MAX_LISTED {
            // A field can be a key in an object, such as `labels.team`.
            let field = shorten(&field.into(), 2 * MAX_FIELD_NAME_CHARS).into_owned();
            let message = shorten(&message.into(), MAX_MESSAGE_CHARS).into_owned();
            self.errors.push(FieldError { field, code: code.to_owned(), message });
        }
    }

    /// Returns `parsed`, or an error that lists all invalid and unknown fields.
    pub(crate) fn finish<T>(mut self, parsed: Option<T>) -> Result<T, ApiError> {
        for (name, _) in std::mem::take(&mut self.values) {
            self.error(sanitize_field_name(&name), "unknown_field", "unknown field");
        }
        match parsed {
            Some(parsed) if self.error_count == 0 => Ok(parsed),
            _ => {
                let count = match self.error_count {
                    1 => "1 field is invalid".to_owned(),
                    count => format!("{count} fields are invalid"),
                };
                let names: Vec<_> = self.errors.iter().take(5).map(|error| error.field.as_str()).collect();
                let more = if self.error_count > names.len() { ", …" } else { "" };
                let detail = format!("{count}: {}{more}.", names.join(", "));
                if self.error_count > self.errors.len() {
                    let message = format!("{} more fields are invalid", self.error_count - self.errors.len());
                    self.errors.push(FieldError { field: String::new(), code: "more_errors".to_owned(), message });
                }
                Err(ApiError::new(self.code, detail).with_errors(self.errors))
            }
        }
    }

    /// Removes a field and returns its value, or `None` if the value is missing or `null`.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.shift_remove(name).filter(|value| !value.is_null())
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, field: String, value: &Value, code: &str) -> Option<T> {
        let Value::String(text) = value else {
            self.error(field, "wrong_type", "must be a string");
            return None;
        };
        text.parse().map_err(|error: T::Err| self.error(field, code, error.to_string())).ok()
    }
}

/// Returns a field name for an error response, shortened and without control characters.
pub(crate) fn sanitize_field_name(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(MAX_FIELD_NAME_CHARS).collect()
}
