//! Validation of the `[api]` configuration that needs the types of this crate.

use freehold_tenancy::config::Api;

use super::keys::Keys;
use super::roles::unknown_scopes;

/// Returns the problems of the `[api]` configuration: unknown scopes, and an unsafe source of signing keys. Each
/// message starts with the name of the field.
pub fn config_problems(api: &Api) -> Vec<String> {
    let mut problems = unknown_scopes(api);
    for (field, issuer) in api.token_issuers() {
        // In the single form, missing keys are only a warning, because a worker needs none.
        if field != "api" || !issuer.jwks.is_empty() {
            problems.extend(Keys::new(&field, &issuer.jwks).err().map(|error| error.to_string()));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use freehold_tenancy::config::{TextList, TokenIssuer};

    use super::*;

    #[test]
    fn unknown_scopes_and_an_unsafe_key_source_are_problems() {
        let roles = [("support".to_owned(), vec!["fleet".to_owned(), "tenant:read".to_owned()])];
        let jwks = Some("http://login.example.com/jwks.json".to_owned());
        let problems = config_problems(&Api { jwks, roles: roles.into(), ..Api::default() });
        assert!(problems[0].starts_with("api.roles.support: unknown scope `tenant:read`"), "{problems:?}");
        assert!(problems[1].starts_with("api.jwks: `http://login.example.com/jwks.json` must be"), "{problems:?}");
        assert_eq!(problems.len(), 2);
        assert_eq!(config_problems(&Api::default()), [""; 0]);
    }

    #[test]
    fn each_issuer_of_the_list_is_checked() {
        let scopes = [("read".to_owned(), TextList(vec!["tenants:reed".to_owned()]))].into();
        let jwks = "https://login.example.com/jwks.json".to_owned();
        let first = TokenIssuer { jwks, ..TokenIssuer::default() };
        let second = TokenIssuer { scopes, ..TokenIssuer::default() };
        let problems = config_problems(&Api { issuers: vec![first, second], ..Api::default() });
        assert!(problems[0].starts_with("api.issuers.[2].scopes.read: unknown scope `tenants:reed`"), "{problems:?}");
        assert!(problems[1].starts_with("api.issuers.[2].jwks: must be an https:// URL"), "{problems:?}");
        assert_eq!(problems.len(), 2);
    }
}
