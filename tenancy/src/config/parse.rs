//! Parses the configuration and reports all problems in one pass.
//!
//! Deserialisation stops at the first invalid value. This value is then replaced with a placeholder or removed, and the
//! configuration is deserialised again.

use figment::error::{Actual, Kind};
use figment::providers::{Env, Serialized};
use figment::value::{Dict, Value};
use figment::{Error, Figment};

use super::{CheckedConfig, Config, ConfigError, check};

/// Maximum number of replaced or removed fields, so that an unexpected error cannot cause an endless loop.
const MAX_FIELDS: usize = 200;

/// Placeholder for a missing or invalid name.
const PLACEHOLDER: &str = "freehold-placeholder";

/// Placeholder for a missing or invalid account id.
const NO_ACCOUNT: &str = "000000000000";

/// Tables whose keys are chosen by the operator.
const TABLES_WITH_OWN_KEYS: [[&str; 2]; 3] = [["api", "roles"], ["quotas", "rates"], ["stack", "parameters"]];

/// Returns the fields that are set by environment variables. Field names are converted to lower case; keys that the
/// operator chooses keep their case.
pub(super) fn environment() -> Env {
    // A variable without two underscores, such as FREEHOLD_LOG, is not a field, because every field is in a section.
    Env::prefixed("FREEHOLD_")
        .filter(|name| name.as_str().contains("__"))
        .map(|name| field_of(name.as_str()).into())
        .lowercase(false)
}

/// Returns the path of the field that an environment variable sets. The name is given without the prefix `FREEHOLD_`:
/// `API__ROLES__Approver` sets `api.roles.Approver`.
fn field_of(variable: &str) -> String {
    let parts: Vec<&str> = variable.split("__").collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let has_own_keys = TABLES_WITH_OWN_KEYS.iter().any(|table| lower.starts_with(&table.map(str::to_owned)));
    let path: Vec<&str> =
        (0..parts.len()).map(|at| if has_own_keys && at == 2 { parts[at] } else { lower[at].as_str() }).collect();
    path.join(".")
}

/// Parses the configuration and validates it.
pub(super) fn parse(figment: Figment) -> Result<CheckedConfig, ConfigError> {
    let mut fields: Value =
        figment.extract().map_err(|_| ConfigError::Unreadable("it must consist of tables and values".to_owned()))?;
    let mut problems: Vec<String> = Vec::new();
    // Fields with a placeholder: their paths, and their names in messages.
    let mut replaced: Vec<(Vec<String>, String)> = Vec::new();
    for _ in 0..MAX_FIELDS {
        let error = match Figment::from(Serialized::defaults(&fields)).extract::<Config>() {
            Ok(config) => {
                let of_values = check::problems(&config);
                problems.extend(of_values.into_iter().filter(|problem| !is_about_placeholder(problem, &replaced)));
                return Ok(CheckedConfig { config: Some(config), problems });
            }
            Err(error) => error,
        };
        let (path, problem) = describe(&error);
        if !replaced.iter().any(|(known, _)| *known == path) {
            let name = display_name(&fields, &path);
            problems.push(if name.is_empty() { problem } else { format!("{name}: {problem}") });
            replaced.push((path.clone(), name));
        }
        if !replace(&mut fields, &path, matches!(error.kind, Kind::UnknownField(..))) {
            break;
        }
    }
    Ok(CheckedConfig { config: None, problems })
}

/// Returns the path of the invalid field and the message of an error.
fn describe(error: &Error) -> (Vec<String>, String) {
    let mut path = error.path.clone();
    let problem = match &error.kind {
        Kind::MissingField(name) => {
            path.push(name.to_string());
            "must be set".to_owned()
        }
        Kind::UnknownField(name, known) => {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            format!("must be removed, because there is no such field; the fields are {}", known.join(", "))
        }
        Kind::UnknownVariant(found, known) => format!("must be one of {}, not `{found}`", known.join(", ")),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("must be {}, not {}", name_of_type(expected), kind_of(found))
        }
        Kind::Message(message) => message.clone(),
        other => other.to_string(),
    };
    (path, problem)
}

/// Returns the name that messages use for a type in a serde error.
fn name_of_type(expected: &str) -> &str {
    match expected {
        "a string" => "a text in quotes",
        "a boolean" | "bool" => "true or false",
        "u8" | "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number of at least 0",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// Describes a value for messages. The description contains the value only if it is a number or a boolean, because a
/// text may be a secret.
fn kind_of(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => format!("the number {value}"),
        Actual::Signed(value) => format!("the number {value}"),
        Actual::Float(value) => format!("the number {value}"),
        Actual::Char(_) | Actual::Str(_) => "a text".to_owned(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => "a value of this type".to_owned(),
    }
}

/// Returns the name of a field for messages. An entry of a list is identified by its name or group if it has one, and
/// otherwise by its number.
fn display_name(fields: &Value, path: &[String]) -> String {
    let mut name: Vec<String> = Vec::new();
    let mut at = Some(fields);
    for part in path {
        at = match at {
            Some(Value::Array(_, entries)) => {
                let entry = part.parse::<usize>().ok().and_then(|number| entries.get(number));
                let label = entry.and_then(|entry| ["name", "group"].iter().find_map(|key| entry.find_ref(key)));
                let label = label.and_then(Value::as_str).map(str::to_owned);
                name.push(label.unwrap_or_else(|| {
                    part.parse::<usize>().map_or_else(|_| part.clone(), |number| format!("[{}]", number + 1))
                }));
                entry
            }
            Some(value @ Value::Dict(..)) => {
                name.push(part.clone());
                value.find_ref(part)
            }
            _ => {
                name.push(part.clone());
                None
            }
        };
    }
    name.join(".")
}

/// Replaces the field at `path` with a placeholder if it is required, and removes it otherwise. Returns false if
/// nothing was changed.
fn replace(fields: &mut Value, path: &[String], is_unknown: bool) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut at = fields;
    for parent in parents {
        let child = match at {
            Value::Dict(_, entries) => entries.get_mut(parent),
            Value::Array(_, entries) => parent.parse::<usize>().ok().and_then(|number| entries.get_mut(number)),
            _ => None,
        };
        let Some(child) = child else { return false };
        at = child;
    }
    match at {
        Value::Dict(_, entries) => match placeholder(last).filter(|_| !is_unknown) {
            Some(value) => entries.insert(last.clone(), value) != entries.get(last).cloned(),
            None => entries.remove(last).is_some(),
        },
        Value::Array(_, entries) => match last.parse::<usize>() {
            Ok(number) if number < entries.len() => {
                entries.remove(number);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Returns a valid placeholder for a required field, or `None` for any other field.
fn placeholder(field: &str) -> Option<Value> {
    Some(match field {
        "organization" => Value::from(Dict::new()),
        "residencies" | "regions" | "waves" => Value::from(Vec::<Value>::new()),
        "management_account_id" => Value::from(NO_ACCOUNT),
        "freehold_account_id" => Value::from("000000000001"),
        "control_role_arn" => Value::from(format!("arn:aws:iam::{NO_ACCOUNT}:role/{PLACEHOLDER}")),
        "account_email" => Value::from("{environment_id}@example.com"),
        "name" | "permission_set" | "group" => Value::from(PLACEHOLDER),
        "per_second" | "burst" => Value::from(1_u32),
        _ => return None,
    })
}

/// Returns whether a problem concerns a placeholder, which is not a value that the operator has set.
fn is_about_placeholder(problem: &str, replaced: &[(Vec<String>, String)]) -> bool {
    let field = problem.split(": ").next().unwrap_or_default();
    let has_placeholder = problem.contains(PLACEHOLDER) || problem.contains(NO_ACCOUNT);
    replaced.iter().any(|(_, name)| name == field) || (!replaced.is_empty() && has_placeholder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_the_case_of_a_key_that_the_operator_chooses() {
        for (variable, field) in [
            ("DATABASE__URL", "database.url"),
            ("API__ROLES__Approver", "api.roles.Approver"),
            ("STACK__PARAMETERS__ImageTag", "stack.parameters.ImageTag"),
            ("QUOTAS__RATES__sts__BURST", "quotas.rates.sts.burst"),
            ("API__ROLES_CLAIM", "api.roles_claim"),
        ] {
            assert_eq!(field_of(variable), field);
        }
    }
}
