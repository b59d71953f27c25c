//! Token claim that lists scopes or roles.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Value of a claim that lists scopes or roles. Some issuers send a space-separated string, others a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ScopeClaim {
    Text(String),
    List(Vec<String>),
}

impl ScopeClaim {
    pub(super) fn into_set(self) -> BTreeSet<String> {
        match self {
            Self::Text(text) => text.split_whitespace().map(ToOwned::to_owned).collect(),
            Self::List(list) => list.into_iter().collect(),
        }
    }
}
