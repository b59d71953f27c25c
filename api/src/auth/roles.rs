//! User roles, each of which grants scopes, and the tables of scopes in the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_tenancy::config::{Api, TextList, TokenIssuer};
use serde::Deserialize;
use serde_json::Value;

use super::scope_claim::ScopeClaim;
use crate::scope::Scope;

/// Roles from the `[api.roles]` configuration; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Roles(Arc<BTreeMap<String, BTreeSet<Scope>>>);

/// Scopes of Freehold by the names that an issuer uses.
pub(super) type ScopeTable = BTreeMap<String, BTreeSet<Scope>>;

/// Error for a configured role or scope table with an unknown scope.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct UnknownScope {
    field: String,
    reason: String,
}

/// Returns a message for each unknown scope of a role and of an issuer's scope table.
pub(super) fn unknown_scopes(api: &Api) -> Vec<String> {
    let roles = api.roles.iter().map(|(role, scopes)| (format!("api.roles.{role}"), scopes.clone()));
    let issuers = api.token_issuers();
    let tables = issuers.iter().flat_map(|(field, issuer)| {
        issuer.scopes.iter().map(move |(name, scopes)| (format!("{field}.scopes.{name}"), scopes.0.clone()))
    });
    let scopes = roles.chain(tables).flat_map(|(field, scopes)| scopes.into_iter().map(move |s| (field.clone(), s)));
    let unknown = scopes.filter_map(|(field, scope)| {
        let reason = scope.parse::<Scope>().err()?;
        Some(UnknownScope { field, reason }.to_string())
    });
    unknown.collect()
}

fn parse_scopes(field: String, scopes: &[String]) -> Result<BTreeSet<Scope>, UnknownScope> {
    let known: Result<_, _> = scopes.iter().map(|scope| scope.parse()).collect();
    known.map_err(|reason| UnknownScope { field, reason })
}

/// Parses the scope table of an issuer; `field` is the prefix of its fields in messages.
pub(super) fn scope_table(field: &str, issuer: &TokenIssuer) -> Result<ScopeTable, UnknownScope> {
    let entry = |(name, TextList(scopes)): (&String, &TextList)| {
        Ok((name.clone(), parse_scopes(format!("{field}.scopes.{name}"), scopes)?))
    };
    issuer.scopes.iter().map(entry).collect()
}

impl Roles {
    /// Reads the roles from the `[api]` configuration.
    pub(crate) fn from_config(api: &Api) -> Result<Self, UnknownScope> {
        let role = |(role, scopes): (&String, &Vec<String>)| {
            Ok((role.clone(), parse_scopes(format!("api.roles.{role}"), scopes)?))
        };
        Ok(Self(Arc::new(api.roles.iter().map(role).collect::<Result<_, _>>()?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the scopes granted by the roles in the claim of a token. A role that is not configured grants no scopes.
    pub(super) fn scopes(&self, claim: &Value) -> BTreeSet<String> {
        let roles = ScopeClaim::deserialize(claim).map(ScopeClaim::into_set).unwrap_or_default();
        roles.into_iter().filter_map(|role| self.0.get(&role)).flatten().map(ToString::to_string).collect()
    }
}
