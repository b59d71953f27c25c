//! Configuration of the REST API and of the token issuers that it trusts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::api_limits::ApiLimits;
use super::text_list::TextList;

/// Section `[api]`: the REST API.
///
/// The fields from `issuer` to `roles_claim` declare one token issuer; `[[api.issuers]]` declares several.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    pub listen: SocketAddr,
    /// Address at which the API serves `/metrics`, without a token; it must not be reachable from outside. `None`
    /// disables it.
    pub metrics_listen: Option<SocketAddr>,
    /// True if the listener of the API also serves `/metrics`, to every client that can reach the API.
    pub metrics_on_public_listener: bool,
    /// Required `iss` of a token.
    pub issuer: Option<String>,
    /// Required `aud` of a token.
    pub audience: Option<String>,
    /// Public keys of the issuer: an `https://` URL or the path of a JWKS file.
    pub jwks: Option<String>,
    /// Required `typ` in the header of a token (RFC 9068); empty for issuers that omit it.
    pub token_type: Option<String>,
    /// Claim that contains the id of the tenant that the token may access.
    pub tenant_claim: Option<ClaimPath>,
    /// Claim that contains the roles of a person.
    pub roles_claim: Option<ClaimPath>,
    pub issuers: Vec<TokenIssuer>,
    /// Scopes that each role grants.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Maximum number of requests per minute that one API process accepts from each client; 0 means unlimited.
    pub requests_per_minute: u32,
    /// Maximum number of AWS accounts that each client may request in 24 hours; 0 means unlimited. If it is not set,
    /// `signups_per_day` applies.
    pub accounts_per_day: Option<u32>,
    /// Earlier name of `accounts_per_day`.
    pub signups_per_day: u32,
    pub limits: ApiLimits,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics_listen: None,
            metrics_on_public_listener: false,
            issuer: None,
            audience: None,
            jwks: None,
            token_type: None,
            tenant_claim: None,
            roles_claim: None,
            issuers: Vec::new(),
            roles: BTreeMap::new(),
            requests_per_minute: 6000,
            accounts_per_day: None,
            signups_per_day: 1000,
            limits: ApiLimits::default(),
        }
    }
}

impl Api {
    /// Returns the maximum number of accounts per client in 24 hours, or `None` if it is unlimited.
    pub fn daily_account_limit(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.accounts_per_day.unwrap_or(self.signups_per_day))
    }

    /// Returns the names of the fields of `[api]` that are set and declare a single token issuer.
    pub(super) fn single_issuer_fields(&self) -> Vec<&'static str> {
        let fields = [
            ("issuer", self.issuer.is_some()),
            ("audience", self.audience.is_some()),
            ("jwks", self.jwks.is_some()),
            ("token_type", self.token_type.is_some()),
            ("tenant_claim", self.tenant_claim.is_some()),
            ("roles_claim", self.roles_claim.is_some()),
        ];
        fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    /// Returns the declared token issuers, each with the prefix of its fields in messages. Returns an empty list if the
    /// configuration has no token issuer, which is sufficient for a worker.
    pub fn token_issuers(&self) -> Vec<(String, TokenIssuer)> {
        if !self.issuers.is_empty() {
            let numbered = (1..).zip(self.issuers.iter().cloned());
            return numbered.map(|(number, issuer)| (format!("api.issuers.[{number}]"), issuer)).collect();
        }
        let single = self.single_issuer();
        if single.issuer.is_empty() && single.jwks.is_empty() {
            return Vec::new();
        }
        vec![("api".to_owned(), single)]
    }

    /// Returns the token issuer that the fields of `[api]` declare.
    pub(super) fn single_issuer(&self) -> TokenIssuer {
        let defaults = TokenIssuer::default();
        TokenIssuer {
            issuer: self.issuer.clone().unwrap_or_default(),
            jwks: self.jwks.clone().unwrap_or_default(),
            audience: TextList(vec![self.audience.clone().unwrap_or_else(|| "freehold".to_owned())]),
            token_type: self.token_type.clone().unwrap_or(defaults.token_type),
            tenant_claim: self.tenant_claim.clone().unwrap_or(defaults.tenant_claim),
            roles_claim: Some(self.roles_claim.clone().unwrap_or_else(|| ClaimPath::new("roles"))),
            ..TokenIssuer::default()
        }
    }
}

/// Entry of `[[api.issuers]]`: an identity provider whose access tokens the API accepts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenIssuer {
    /// Required `iss` of a token, which also selects the issuer.
    pub issuer: String,
    /// Accepted audiences.
    pub audience: TextList,
    /// Claim that contains the audience of a token. Some issuers name the client in `client_id` and omit `aud`.
    pub audience_claim: ClaimPath,
    /// Public keys of the issuer: an `https://` URL or the path of a JWKS file.
    pub jwks: String,
    /// Required `typ` in the header of a token (RFC 9068); empty for issuers that omit it.
    pub token_type: String,
    /// Values that claims of a token must have, for example to distinguish access tokens from other tokens.
    pub required_claims: BTreeMap<String, String>,
    /// Claim that identifies the person or program. It must be the same for all clients that a person uses.
    pub subject_claim: ClaimPath,
    /// Claim that identifies the client. `None` means `client_id` or `azp`.
    pub client_claim: Option<ClaimPath>,
    /// Claim that contains the id of the tenant that the token may access.
    pub tenant_claim: ClaimPath,
    /// Claim that contains the roles of the person or program. `None` means that roles grant no scopes.
    pub roles_claim: Option<ClaimPath>,
    /// Claim that contains the scopes. `None` means `scope` and `scp`.
    pub scopes_claim: Option<ClaimPath>,
    /// Prefix of Freehold's scopes in the tokens of this issuer. Scopes without the prefix are ignored.
    pub scope_prefix: String,
    /// Scopes of Freehold by the names that the issuer uses. Other scopes are ignored. Empty if the names are the same.
    pub scopes: BTreeMap<String, TextList>,
}

impl Default for TokenIssuer {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: TextList::default(),
            audience_claim: ClaimPath::new("aud"),
            jwks: String::new(),
            token_type: "at+jwt".to_owned(),
            required_claims: BTreeMap::new(),
            subject_claim: ClaimPath::new("sub"),
            client_claim: None,
            tenant_claim: ClaimPath::new("tenant_id"),
            roles_claim: None,
            scopes_claim: None,
            scope_prefix: String::new(),
            scopes: BTreeMap::new(),
        }
    }
}

/// Path of a claim in a token: the name of a claim, or the names that lead to a claim inside other claims. A name can
/// contain any characters, such as dots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "TextList")]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    pub fn new(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Returns the value of the claim, or `None` if the token lacks it.
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// Returns whether the path has at least one name and no empty name.
    pub(super) fn is_valid(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| !name.trim().is_empty())
    }
}

impl From<TextList> for ClaimPath {
    fn from(names: TextList) -> Self {
        Self(names.0)
    }
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0[..] {
            [name] => f.write_str(name),
            names => write!(f, "{names:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(toml: &str) -> ClaimPath {
        let figment = figment::Figment::from(figment::providers::Data::<figment::providers::Toml>::string(toml));
        figment.extract_inner("path").unwrap()
    }

    #[test]
    fn a_claim_path_is_a_name_or_a_list_of_names() {
        let claims = json!({
            "https://example.com/roles": ["a"],
            "realm_access": { "roles": ["b"] },
            "resource_access": { "freehold.example.com": { "roles": ["c"] } },
        });
        let claims = claims.as_object().unwrap();
        for (toml, found) in [
            (r#"path = "https://example.com/roles""#, Some(json!(["a"]))),
            (r#"path = ["realm_access", "roles"]"#, Some(json!(["b"]))),
            (r#"path = ["resource_access", "freehold.example.com", "roles"]"#, Some(json!(["c"]))),
            (r#"path = "realm_access.roles""#, None),
            (r#"path = ["realm_access", "roles", "0"]"#, None),
            ("path = []", None),
        ] {
            assert_eq!(path(toml).find(claims), found.as_ref(), "{toml}");
        }
    }
}
