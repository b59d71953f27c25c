//! Policy documents. `validate.rs` contains the rules for the kinds of policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition::{Operator, StatementContext};
use super::pattern::Pattern;
use super::{AccessRequest, Principal};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawDocument", into = "RawDocument")]
pub struct Document {
    version: Option<String>,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub sid: Option<String>,
    pub effect: Effect,
    /// Principals that the statement applies to; `None` in policies that are attached to a principal.
    pub principals: Option<Principals>,
    /// Actions that the statement applies to.
    pub actions: Patterns,
    /// Resources that the statement applies to; `None` in trust policies.
    pub resources: Option<Patterns>,
    /// Expected values by operator and condition key.
    pub conditions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    Allow,
    /// Denies the request, even if other statements allow it.
    Deny,
}

/// Patterns for actions or resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patterns {
    /// Matches the listed patterns (`Action`, `Resource`).
    AnyOf(Vec<String>),
    /// Matches everything except the listed patterns (`NotAction`, `NotResource`).
    NoneOf(Vec<String>),
}

/// Principals of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Principals {
    /// Any principal: `"*"`.
    Any(String),
    /// Principals by kind: `{"AWS": …, "Service": …}`.
    Named(BTreeMap<String, OneOrMany>),
}

impl Document {
    /// Parses a policy document. Returns an error message if the document is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Converts a JSON value to a policy document. Returns an error message if the document is malformed.
    pub fn from_value(value: Value) -> Result<Self, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl Statement {
    /// Returns whether the statement applies to the request. Policy variables exist since version 2012-10-17.
    pub(super) fn applies_to(&self, request: &AccessRequest<'_>, version: Option<&str>) -> bool {
        let action = request.action.to_ascii_lowercase();
        let context = StatementContext {
            keys: request.keys,
            effect: self.effect,
            action: request.action,
            has_variables: version == Some("2012-10-17"),
        };
        self.actions.includes(|pattern| Pattern::plain(&pattern.to_ascii_lowercase()).matches(&action))
            && self.resources.as_ref().is_none_or(|resources| self.includes_resource(resources, request, &context))
            && self.principals.as_ref().is_none_or(|principals| principals.includes(request.principal))
            && self.conditions.iter().all(|(operator, tests)| {
                Operator::parse(operator).is_some_and(|operator| {
                    tests.iter().all(|(key, expected)| operator.is_satisfied(key, expected, &context))
                })
            })
    }

    /// Returns whether the statement applies to the resource of the request. A variable without a value makes the
    /// statement deny rather than allow.
    fn includes_resource(
        &self,
        patterns: &Patterns,
        request: &AccessRequest<'_>,
        context: &StatementContext<'_>,
    ) -> bool {
        let is_exception = matches!(patterns, Patterns::NoneOf(_));
        let matches_if_unknown = (self.effect == Effect::Deny) != is_exception;
        patterns.includes(|pattern| {
            let pattern = context.pattern(pattern);
            pattern.matches(request.resource) && (!pattern.has_unknown_variable() || matches_if_unknown)
        })
    }
}

impl Patterns {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::AnyOf(patterns) | Self::NoneOf(patterns) => patterns,
        }
    }

    fn includes(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::AnyOf(patterns) => patterns.iter().any(|pattern| matches(pattern)),
            Self::NoneOf(patterns) => !patterns.iter().any(|pattern| matches(pattern)),
        }
    }
}

impl Principals {
    fn includes(&self, principal: Principal<'_>) -> bool {
        let named = match self {
            Self::Any(star) => return star == "*",
            Self::Named(named) => named,
        };
        let listed = |kind: &str| named.get(kind).map(OneOrMany::as_slice).unwrap_or_default();
        match principal {
            Principal::Service(service) => listed("Service").iter().any(|name| name == service),
            Principal::Anonymous => listed("AWS").iter().any(|name| name == "*"),
            Principal::Aws { account, arn, role_arn } => listed("AWS").iter().any(|name| {
                name == "*"
                    || name == account
                    || name == arn
                    || name == role_arn
                    || Pattern::plain(name).matches_arn(&format!("arn:aws:iam::{account}:root"))
            }),
        }
    }

    /// Returns whether the statement lists the ARN of this role or session. The ARN of its account is not sufficient.
    pub(crate) fn lists_principal_arn(&self, arn: &str, role_arn: &str) -> bool {
        match self {
            Self::Any(_) => false,
            Self::Named(named) => named
                .get("AWS")
                .map(OneOrMany::as_slice)
                .unwrap_or_default()
                .iter()
                .any(|name| name == arn || name == role_arn),
        }
    }
}

/// A string or a list of strings. Numbers and booleans are converted to strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct OneOrMany(Vec<String>);

impl OneOrMany {
    pub(super) fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl From<Value> for OneOrMany {
    fn from(value: Value) -> Self {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Self(match value {
            Value::Array(values) => values.into_iter().map(text).collect(),
            one => vec![text(one)],
        })
    }
}

impl From<OneOrMany> for Value {
    fn from(values: OneOrMany) -> Self {
        Value::from(values.0)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    statement: RawStatements,
}

#[derive(Clone)]
struct RawStatements(Vec<RawStatement>);

impl Serialize for RawStatements {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawStatements {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let statements = match Value::deserialize(deserializer)? {
            Value::Array(statements) => statements,
            one => vec![one],
        };
        let parsed = statements.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        parsed.map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<Principals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<OneOrMany>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_action: Option<OneOrMany>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<OneOrMany>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_resource: Option<OneOrMany>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<String, BTreeMap<String, OneOrMany>>,
}

impl TryFrom<RawDocument> for Document {
    type Error = String;

    fn try_from(raw: RawDocument) -> Result<Self, String> {
        let statements = raw.statement.0.into_iter().map(Statement::try_from).collect::<Result<_, _>>()?;
        Ok(Self { version: raw.version, statements })
    }
}

impl TryFrom<RawStatement> for Statement {
    type Error = String;

    fn try_from(raw: RawStatement) -> Result<Self, String> {
        let actions = patterns(raw.action, raw.not_action, "Action", "NotAction")?
            .ok_or("a statement must have Action or NotAction".to_owned())?;
        let resources = patterns(raw.resource, raw.not_resource, "Resource", "NotResource")?;
        if let Some(unknown) = raw.condition.keys().find(|operator| Operator::parse(operator).is_none()) {
            return Err(format!("unknown condition operator {unknown}"));
        }
        let conditions = raw
            .condition
            .into_iter()
            .map(|(operator, tests)| (operator, tests.into_iter().map(|(key, values)| (key, values.0)).collect()))
            .collect();
        Ok(Self { sid: raw.sid, effect: raw.effect, principals: raw.principal, actions, resources, conditions })
    }
}

fn patterns(
    only: Option<OneOrMany>,
    except: Option<OneOrMany>,
    name: &str,
    not_name: &str,
) -> Result<Option<Patterns>, String> {
    match (only, except) {
        (Some(_), Some(_)) => Err(format!("a statement cannot have both {name} and {not_name}")),
        (Some(only), None) => Ok(Some(Patterns::AnyOf(only.0))),
        (None, Some(except)) => Ok(Some(Patterns::NoneOf(except.0))),
        (None, None) => Ok(None),
    }
}

impl From<Document> for RawDocument {
    fn from(document: Document) -> Self {
        let statements = document.statements.into_iter().map(RawStatement::from).collect();
        Self { version: document.version, id: None, statement: RawStatements(statements) }
    }
}

impl From<Statement> for RawStatement {
    fn from(statement: Statement) -> Self {
        let split = |patterns: Option<Patterns>| match patterns {
            Some(Patterns::AnyOf(patterns)) => (Some(OneOrMany(patterns)), None),
            Some(Patterns::NoneOf(patterns)) => (None, Some(OneOrMany(patterns))),
            None => (None, None),
        };
        let (action, not_action) = split(Some(statement.actions));
        let (resource, not_resource) = split(statement.resources);
        let condition = statement
            .conditions
            .into_iter()
            .map(|(operator, tests)| {
                (operator, tests.into_iter().map(|(key, values)| (key, OneOrMany(values))).collect())
            })
            .collect();
        Self {
            sid: statement.sid,
            effect: statement.effect,
            principal: statement.principals,
            action,
            not_action,
            resource,
            not_resource,
            condition,
        }
    }
}
