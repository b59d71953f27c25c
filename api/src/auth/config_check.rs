//! Validation of the `[api]` configuration that needs the types of this crate.

use freehold_tenancy::config::Api;

use super::keys::Keys;
use super::roles::unknown_scopes;

/// Returns the problems of the `[api]` configuration: unknown scopes of roles, and an unsafe source of signing keys.
/// Each message starts with the name of the field.
pub fn config_problems(api: &Api) -> Vec<String> {
    let mut problems = unknown_scopes(api);
    // A configuration without [api] is sufficient for a worker.
    if !api.jwks.is_empty() {
        problems.extend(Keys::new(&api.jwks).err().map(|error| error.to_string()));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_and_an_unsafe_key_source_are_problems() {
        let roles = [("support".to_owned(), vec!["fleet".to_owned(), "tenant:read".to_owned()])];
        let jwks = "http://login.example.com/jwks.json".to_owned();
        let problems = config_problems(&Api { jwks, roles: roles.into(), ..Api::default() });
        assert!(problems[0].starts_with("api.roles.support: unknown scope `tenant:read`"), "{problems:?}");
        assert!(problems[1].starts_with("api.jwks: `http://login.example.com/jwks.json` must be"), "{problems:?}");
        assert_eq!(problems.len(), 2);
        assert_eq!(config_problems(&Api::default()), [""; 0]);
    }
}
