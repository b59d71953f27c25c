//! Named values that are parsed one by one, so that a caller hears about all that do not fit, not only about the first.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::problem::{ApiError, Code, FieldError};

/// How much of an unknown name is repeated to the caller.
const LONGEST_NAME: usize = 64;

/// Values that nobody has looked at yet, and what was wrong with those that somebody has.
pub(crate) struct Fields {
    code: Code,
    values: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn of_body(values: Map<String, Value>) -> Self {
        Self { code: Code::ValidationFailed, values, errors: Vec::new() }
    }

    pub(super) fn of_query(values: Map<String, Value>) -> Self {
        Self { code: Code::InvalidQuery, values, errors: Vec::new() }
    }

    /// What has not been taken yet.
    pub(crate) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Whether there is such a value. One that is `null` was left out and need not be taken.
    pub(crate) fn names(&mut self, name: &str) -> bool {
        self.take_null(name);
        self.values.contains_key(name)
    }

    /// Takes a value that is said to be none, and answers whether it was.
    pub(crate) fn take_null(&mut self, name: &str) -> bool {
        let is_null = self.values.get(name).is_some_and(Value::is_null);
        if is_null {
            self.values.shift_remove(name);
        }
        is_null
    }

    /// Takes those values out of an object that are said to be none, and answers what they are called.
    pub(crate) fn take_null_keys(&mut self, name: &str) -> Vec<String> {
        let Some(Value::Object(values)) = self.values.get_mut(name) else { return Vec::new() };
        let nulls: Vec<_> = values.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.clone()).collect();
        values.retain(|_, value| !value.is_null());
        nulls
    }

    /// A value that may be left out. `None` also where it does not fit.
    pub(crate) fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        self.parse(name.to_owned(), &value, "invalid")
    }

    /// A value that must be there.
    pub(crate) fn required<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.required_or(name, "invalid")
    }

    /// A value that must be there; one that does not fit has this code.
    pub(crate) fn required_or<T: FromStr<Err: Display>>(&mut self, name: &str, code: &str) -> Option<T> {
        let Some(value) = self.take(name) else {
            self.error(name, "missing", "this is needed");
            return None;
        };
        self.parse(name.to_owned(), &value, code)
    }

    /// A list: how many values it has, and those that fit with their places.
    pub(crate) fn list<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<(usize, Vec<(usize, T)>)> {
        let Value::Array(values) = self.take(name)? else {
            self.error(name, "wrong_type", "this must be a list of texts");
            return None;
        };
        let mut parsed = Vec::new();
        for (place, value) in values.iter().enumerate() {
            parsed.extend(self.parse(format!("{name}[{place}]"), value, "invalid").map(|value| (place, value)));
        }
        Some((values.len(), parsed))
    }

    /// An object whose values are texts.
    pub(crate) fn texts(&mut self, name: &str) -> Option<BTreeMap<String, String>> {
        let Value::Object(values) = self.take(name)? else {
            self.error(name, "wrong_type", "this must be an object whose values are texts");
            return None;
        };
        let mut texts = BTreeMap::new();
        for (key, value) in values {
            match value {
                Value::String(text) => _ = texts.insert(key, text),
                _ => self.error(format!("{name}.{}", shortened(&key)), "wrong_type", "this must be a text"),
            }
        }
        Some(texts)
    }

    /// Notes that a value does not fit.
    pub(crate) fn error(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.into(), code: code.to_owned(), message: message.into() });
    }

    /// What was read, if all of it fits and nothing else was given.
    pub(crate) fn finish<T>(mut self, read: Option<T>) -> Result<T, ApiError> {
        for (name, _) in std::mem::take(&mut self.values) {
            self.error(shortened(&name), "unknown_field", "there is no such field");
        }
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            _ => {
                let count = match self.errors.len() {
                    1 => "1 field does not fit".to_owned(),
                    count => format!("{count} fields do not fit"),
                };
                let names: Vec<_> = self.errors.iter().take(5).map(|error| error.field.as_str()).collect();
                let more = if self.errors.len() > names.len() { ", …" } else { "" };
                let detail = format!("{count}: {}{more}.", names.join(", "));
                Err(ApiError::new(self.code, detail).with_errors(self.errors))
            }
        }
    }

    /// A value, unless it was left out.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.values.shift_remove(name).filter(|value| !value.is_null())
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, field: String, value: &Value, code: &str) -> Option<T> {
        let Value::String(text) = value else {
            self.error(field, "wrong_type", "this must be a text");
            return None;
        };
        text.parse().map_err(|error: T::Err| self.error(field, code, error.to_string())).ok()
    }
}

/// So much of a name as is fit to be repeated.
pub(crate) fn shortened(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(LONGEST_NAME).collect()
}
