//! What the roles of people stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_tenancy::config::Api;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::scope_claim::ScopeClaim;
use crate::scope::Scope;

/// The roles of `[api.roles]`; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    claim: Arc<str>,
    scopes: Arc<BTreeMap<String, BTreeSet<Scope>>>,
}

/// A role stands for a scope that there is not.
#[derive(Debug, thiserror::Error)]
#[error("api.roles.{role}: {why}")]
pub struct UnknownScope {
    role: String,
    why: String,
}

impl Roles {
    /// The roles that the configuration declares.
    pub(crate) fn read(api: &Api) -> Result<Self, UnknownScope> {
        let mut roles = BTreeMap::new();
        for (role, scopes) in &api.roles {
            let known: Result<_, _> = scopes.iter().map(|scope| scope.parse()).collect();
            roles.insert(role.clone(), known.map_err(|why| UnknownScope { role: role.clone(), why })?);
        }
        Ok(Self { claim: api.roles_claim.as_str().into(), scopes: Arc::new(roles) })
    }

    /// What the roles among the claims of a token stand for. A role that is not declared stands for nothing.
    pub(super) fn scopes(&self, claims: &Map<String, Value>) -> impl Iterator<Item = String> {
        let words = claims.get(&*self.claim).and_then(|roles| ScopeClaim::deserialize(roles).ok());
        let roles = words.map(ScopeClaim::into_set).unwrap_or_default();
        roles.into_iter().filter_map(|role| self.scopes.get(&role)).flatten().map(ToString::to_string)
    }
}
