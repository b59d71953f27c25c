//! User roles, each of which grants scopes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_tenancy::config::Api;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::scope_claim::ScopeClaim;
use crate::scope::Scope;

/// Roles from the `[api.roles]` configuration; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    claim: Arc<str>,
    scopes: Arc<BTreeMap<String, BTreeSet<Scope>>>,
}

/// Error for a configured role that grants an unknown scope.
#[derive(Debug, thiserror::Error)]
#[error("api.roles.{role}: {reason}")]
pub struct UnknownScope {
    role: String,
    reason: String,
}

/// Returns a message for each unknown scope of a role in the `[api.roles]` configuration.
pub(super) fn unknown_scopes(api: &Api) -> Vec<String> {
    let scopes = api.roles.iter().flat_map(|(role, scopes)| scopes.iter().map(move |scope| (role, scope)));
    let unknown = scopes.filter_map(|(role, scope)| {
        let reason = scope.parse::<Scope>().err()?;
        Some(UnknownScope { role: role.clone(), reason }.to_string())
    });
    unknown.collect()
}

impl Roles {
    /// Reads the roles from the `[api]` configuration.
    pub(crate) fn from_config(api: &Api) -> Result<Self, UnknownScope> {
        let mut roles = BTreeMap::new();
        for (role, scopes) in &api.roles {
            let known: Result<_, _> = scopes.iter().map(|scope| scope.parse()).collect();
            roles.insert(role.clone(), known.map_err(|reason| UnknownScope { role: role.clone(), reason })?);
        }
        Ok(Self { claim: api.roles_claim.as_str().into(), scopes: Arc::new(roles) })
    }

    /// Returns the scopes granted by the roles in a token's claims. A role that is not configured grants no scopes.
    pub(super) fn scopes(&self, claims: &Map<String, Value>) -> impl Iterator<Item = String> {
        let claim = claims.get(&*self.claim).and_then(|roles| ScopeClaim::deserialize(roles).ok());
        let roles = claim.map(ScopeClaim::into_set).unwrap_or_default();
        roles.into_iter().filter_map(|role| self.scopes.get(&role)).flatten().map(ToString::to_string)
    }
}
