//! A policy document, read strictly: what AWS would call malformed is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition::Operator;
use super::{Principal, Question, arn_matches, text_matches};

/// A policy document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawDocument", into = "RawDocument")]
pub struct Document {
    version: Option<String>,
    statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its name.
    pub sid: Option<String>,
    /// What it does when it speaks of the question.
    pub effect: Effect,
    /// Whom it speaks of; none where the policy hangs on its principal.
    pub principals: Option<Principals>,
    /// Which actions it speaks of.
    pub actions: Scope,
    /// Which resources it speaks of; none in trust policies.
    pub resources: Option<Scope>,
    /// By operator, by key: values.
    pub conditions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Permits.
    Allow,
    /// Forbids, whatever permits.
    Deny,
}

/// Patterns that are listed, or all but those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `Action`, `Resource`.
    Only(Vec<String>),
    /// `NotAction`, `NotResource`.
    AllBut(Vec<String>),
}

/// The principals that a statement names: by kind (`AWS`, `Service`, …), or everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Principals {
    /// `"*"`
    Everybody(String),
    /// `{"AWS": …, "Service": …}`
    Named(BTreeMap<String, OneOrMany>),
}

impl Document {
    /// Reads a document; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Reads a document that has been read as JSON (or YAML) already.
    pub fn from_value(value: Value) -> Result<Self, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Its statements.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl Statement {
    /// Whether it applies to the question.
    pub(super) fn speaks_of(&self, question: &Question<'_>) -> bool {
        let action = question.action.to_ascii_lowercase();
        self.actions.covers(|pattern| text_matches(&pattern.to_ascii_lowercase(), &action))
            && self
                .resources
                .as_ref()
                .is_none_or(|resources| resources.covers(|pattern| text_matches(pattern, question.resource)))
            && self.principals.as_ref().is_none_or(|principals| principals.include(question.principal))
            && self.conditions.iter().all(|(operator, tests)| {
                Operator::parse(operator).is_some_and(|operator| {
                    tests.iter().all(|(key, wanted)| operator.holds(key, wanted, question.keys))
                })
            })
    }
}

impl Scope {
    fn covers(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| matches(pattern)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| matches(pattern)),
        }
    }
}

impl Principals {
    fn include(&self, principal: Principal<'_>) -> bool {
        let named = match self {
            Self::Everybody(star) => return star == "*",
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
                    || arn_matches(name, &format!("arn:aws:iam::{account}:root"))
            }),
        }
    }

    /// Whether it names this very role or session, and not merely its account.
    pub(crate) fn name_exactly(&self, arn: &str, role_arn: &str) -> bool {
        match self {
            Self::Everybody(_) => false,
            Self::Named(named) => named
                .get("AWS")
                .map(OneOrMany::as_slice)
                .unwrap_or_default()
                .iter()
                .any(|name| name == arn || name == role_arn),
        }
    }
}

/// A text or a list of texts; numbers and truth values count as texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct OneOrMany(Vec<String>);

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
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
        let read = statements.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        read.map(Self).map_err(serde::de::Error::custom)
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
        let actions = scope(raw.action, raw.not_action, "Action", "NotAction")?
            .ok_or("a statement needs Action or NotAction".to_owned())?;
        let resources = scope(raw.resource, raw.not_resource, "Resource", "NotResource")?;
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

fn scope(
    only: Option<OneOrMany>,
    all_but: Option<OneOrMany>,
    name: &str,
    not_name: &str,
) -> Result<Option<Scope>, String> {
    match (only, all_but) {
        (Some(_), Some(_)) => Err(format!("a statement cannot have both {name} and {not_name}")),
        (Some(only), None) => Ok(Some(Scope::Only(only.0))),
        (None, Some(all_but)) => Ok(Some(Scope::AllBut(all_but.0))),
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
        let split = |scope: Option<Scope>| match scope {
            Some(Scope::Only(patterns)) => (Some(OneOrMany(patterns)), None),
            Some(Scope::AllBut(patterns)) => (None, Some(OneOrMany(patterns))),
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
