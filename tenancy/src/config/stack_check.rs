//! Section `[stack.check]`: the check of the deployed stack that step `verify` makes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// Section `[stack.check]`: the request to the deployed stack and the expected response.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StackCheck {
    pub kind: CheckKind,
    /// HTTP method of the request to the Function URL.
    pub method: CheckMethod,
    /// Path and query of the request to the Function URL, with placeholders.
    pub path: String,
    /// JSON payload of an invocation and body of a POST request, with placeholders. `None` means no body, and for an
    /// invocation the event that a request to the Function URL would cause.
    pub payload: Option<String>,
    /// Accepted HTTP statuses. Empty means 200 to 299.
    pub statuses: Vec<u16>,
    /// Text that the body must contain, with placeholders.
    pub body_contains: Option<String>,
    /// Expected values in the JSON body by JSON pointer. Texts may have placeholders.
    pub json: BTreeMap<String, Value>,
    /// Maximum duration of the call in seconds, in real time.
    pub timeout_seconds: u64,
}

/// Way in which step `verify` calls the stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A signed request to the Function URL. In a region without `AWS::Lambda::Url`, an invocation of the function.
    #[default]
    Url,
    /// A signed invocation of the function.
    Invoke,
}

/// HTTP method of the request to the Function URL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckMethod {
    #[default]
    Get,
    Head,
    Post,
}

impl CheckMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

impl fmt::Display for CheckMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Placeholders in the texts of the check, without their braces.
pub const CHECK_PLACEHOLDERS: [&str; 5] = ["tenant_id", "environment_id", "environment", "region", "tier"];

impl Default for StackCheck {
    fn default() -> Self {
        let identity = ["tenant_id", "environment_id", "region"];
        Self {
            kind: CheckKind::default(),
            method: CheckMethod::default(),
            path: "/".to_owned(),
            payload: None,
            statuses: Vec::new(),
            body_contains: None,
            json: identity.map(|name| (format!("/{name}"), Value::String(format!("{{{name}}}")))).into(),
            timeout_seconds: 15,
        }
    }
}

/// Returns `text` with each placeholder replaced by its value.
pub fn fill_placeholders(text: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Returns the names in braces in `text` that are not placeholders. A JSON object is no name in braces.
pub fn unknown_placeholders(text: &str) -> Vec<&str> {
    let names = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    names.filter(is_name).filter(|name| !CHECK_PLACEHOLDERS.contains(name)).collect()
}
