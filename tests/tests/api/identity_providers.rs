//! Tests that tokens of the usual identity providers are accepted with the configurations of
//! docs/identity-providers.md, and that several issuers do not affect each other.

use freehold_tenancy::attention::Remedy;
use freehold_tenancy::config::{TextList, TokenIssuer};
use freehold_tenancy::{Clock, Config};
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body};
use freehold_tests::fixture::CONFIG;
use freehold_tests::log_capture::LogCapture;
use freehold_tests::tokens::{AUDIENCE, ISSUER, Issuer, now};
use jsonwebtoken::{Algorithm, Header};
use reqwest::Method;
use serde_json::{Value, json};

const GUIDE: &str = include_str!("../../../docs/identity-providers.md");

/// Path of a route that needs the scopes `fleet` and `tenants:read`.
const READ: &str = "/v1/tenants";

/// Path of a route that needs a scope which no token of these tests has.
const AUDIT: &str = "/v1/audit-events";

/// Returns the configurations in the guide, each with the heading of its section.
fn snippets() -> Vec<(&'static str, &'static str)> {
    let mut snippets = Vec::new();
    for section in GUIDE.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap();
        let blocks = section.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
        snippets.extend(blocks.map(|block| (heading, block)));
    }
    snippets
}

/// Returns the configuration of the guide for a provider, with an additional role `support`.
fn config_of(provider: &str) -> Config {
    let (_, snippet) = snippets().into_iter().find(|(heading, _)| *heading == provider).expect("a configuration");
    let mut config = Config::parse(&format!("{CONFIG}\n{snippet}")).unwrap();
    let support = ["fleet", "tenants:read", "operations:read"].map(str::to_owned);
    config.api.roles.insert("support".to_owned(), support.to_vec());
    config
}

/// API that is configured for a provider, whose tokens the fixture signs with RS256.
struct Provider {
    api: ApiFixture,
    issuer: String,
}

impl Provider {
    async fn start(provider: &str) -> Self {
        let (keys, mut config) = (Issuer::with_algorithm(Algorithm::RS256), config_of(provider));
        config.api.issuers[0].jwks = keys.jwks().display().to_string();
        let issuer = config.api.issuers[0].issuer.clone();
        Self { api: ApiFixture::with_parsed(keys, config, Clock::real(), |app| app).await, issuer }
    }

    /// Returns a token of the provider with these claims and this type in its header.
    fn token(&self, typ: Option<&str>, mut claims: Value) -> String {
        for (name, value) in [("iss", json!(self.issuer)), ("iat", json!(now())), ("exp", json!(now() + 3600))] {
            if claims.get(name).is_none() {
                claims[name] = value;
            }
        }
        let header = Header { typ: typ.map(str::to_owned), ..self.api.issuer.header() };
        self.api.issuer.sign(&header, &claims)
    }

    async fn get(&self, path: &str, typ: Option<&str>, claims: &Value) -> ApiResponse {
        get(&self.api, path, &self.token(typ, claims.clone())).await
    }

    /// Asserts that a token can read tenants, and only that.
    async fn assert_reads(&self, typ: Option<&str>, claims: &Value) {
        let response = self.get(READ, typ, claims).await;
        assert_eq!(response.status, 200, "{claims}: {}", response.text);
        let response = self.get(AUDIT, typ, claims).await;
        assert_eq!(response.status_and_code(), (403, "insufficient_scope".into()), "{claims}");
    }

    /// Asserts that a token with changed claims is refused; `null` removes a claim.
    async fn assert_refused(&self, typ: Option<&str>, claims: &Value, changes: &Value, status: u16) {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let response = self.get(READ, typ, &claims).await;
        assert_eq!(response.status, status, "{changes}: {}", response.text);
    }
}

async fn get(api: &ApiFixture, path: &str, token: &str) -> ApiResponse {
    send(api.request_without_token(Method::GET, path).bearer_auth(token)).await
}

#[test]
fn every_configuration_of_the_guide_is_valid() {
    let snippets = snippets();
    assert_eq!(snippets.len(), 6, "configurations");
    for (heading, snippet) in snippets {
        let config =
            Config::parse(&format!("{CONFIG}\n{snippet}")).unwrap_or_else(|error| panic!("{heading}: {error}"));
        assert_eq!(freehold_api::config_problems(&config.api), [""; 0], "{heading}");
    }
}

#[tokio::test]
async fn auth0_tokens_of_people_and_machines_are_accepted() {
    let auth0 = Provider::start("Auth0").await;
    let typ = Some("at+jwt");
    let person = json!({
        "sub": "auth0|1111", "aud": ["https://freehold.example.com", "https://example.eu.auth0.com/userinfo"],
        "client_id": "console", "jti": "1", "scope": "openid profile", "permissions": [],
        "https://example.com/roles": ["support"],
    });
    let machine = json!({
        "sub": "backend@clients", "aud": "https://freehold.example.com", "client_id": "backend", "jti": "2",
        "gty": "client-credentials", "scope": "fleet tenants:read", "permissions": ["fleet", "tenants:read"],
    });
    auth0.assert_reads(typ, &person).await;
    auth0.assert_reads(typ, &machine).await;
    // Without a permission, a scope that the client has requested grants nothing.
    auth0.assert_refused(typ, &machine, &json!({ "permissions": [] }), 403).await;
    auth0.assert_refused(typ, &person, &json!({ "https://example.com/roles": null, "roles": ["support"] }), 403).await;
    auth0.assert_refused(typ, &person, &json!({ "aud": "https://example.eu.auth0.com/userinfo" }), 401).await;
    auth0.assert_refused(Some("JWT"), &person, &json!({ "aud": "console" }), 401).await;
}

#[tokio::test]
async fn cognito_tokens_without_an_audience_are_accepted() {
    let cognito = Provider::start("Amazon Cognito").await;
    let person = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["support"], "version": 2,
        "client_id": "1example11111111111111111a", "origin_jti": "1", "event_id": "2", "token_use": "access",
        "scope": "openid profile", "auth_time": now(), "jti": "3", "username": "ann",
    });
    let machine = json!({
        "sub": "2example22222222222222222b", "token_use": "access", "scope": "freehold/fleet freehold/tenants:read",
        "auth_time": now(), "version": 2, "jti": "4", "client_id": "2example22222222222222222b",
    });
    cognito.assert_reads(None, &person).await;
    cognito.assert_reads(None, &machine).await;
    cognito.assert_refused(None, &machine, &json!({ "scope": "fleet tenants:read other/fleet" }), 403).await;
    cognito.assert_refused(None, &machine, &json!({ "client_id": "3example33333333333333333c" }), 401).await;
    cognito
        .assert_refused(None, &machine, &json!({ "client_id": null, "aud": "2example22222222222222222b" }), 401)
        .await;
    let id_token = json!({ "token_use": "id", "aud": "1example11111111111111111a" });
    cognito.assert_refused(None, &person, &id_token, 401).await;
}

fn entra_person() -> Value {
    json!({
        "sub": "pairwise-subject-of-the-console", "oid": "aaaaaaaa-0000-0000-0000-000000000001",
        "aud": "66666666-7777-8888-9999-000000000000", "azp": "aaaaaaaa-0000-0000-0000-00000000000c", "azpacr": "1",
        "tid": "11111111-2222-3333-4444-555555555555", "ver": "2.0", "uti": "1", "nbf": now(), "name": "Ann Example",
        "scp": "fleet tenants:read",
    })
}

#[tokio::test]
async fn entra_tokens_identify_the_person_by_oid() {
    let entra = Provider::start("Entra ID").await;
    let typ = Some("JWT");
    let person = entra_person();
    let mut machine = person.clone();
    for (name, value) in [("scp", Value::Null), ("roles", json!(["freehold.fleet"])), ("idtyp", json!("app"))] {
        machine[name] = value;
    }
    entra.assert_reads(typ, &person).await;
    entra.assert_reads(typ, &machine).await;
    entra.assert_refused(typ, &machine, &json!({ "roles": ["other.fleet"] }), 403).await;
    let version_1 = json!({ "ver": "1.0", "iss": "https://sts.windows.net/11111111-2222-3333-4444-555555555555/" });
    entra.assert_refused(typ, &person, &version_1, 401).await;

    let (log, _recording) = LogCapture::start();
    let response = {
        let mut without = person;
        without.as_object_mut().unwrap().remove("oid");
        entra.get(READ, typ, &without).await
    };
    assert_eq!(response.status_and_code(), (401, "token_invalid".into()));
    assert_eq!(
        response.json()["detail"],
        "The token is invalid: the claim that identifies the caller is missing.",
        "{}",
        response.text
    );
    assert_eq!(log.containing("has no claim oid").len(), 1);
}

#[tokio::test]
async fn keycloak_roles_inside_another_claim_grant_scopes() {
    let keycloak = Provider::start("Keycloak").await;
    let typ = Some("JWT");
    let person = json!({
        "jti": "1", "aud": ["freehold", "account"], "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "typ": "Bearer",
        "azp": "console", "sid": "2", "acr": "1", "realm_access": { "roles": ["offline_access", "support"] },
        "resource_access": { "account": { "roles": ["view-profile"] } }, "scope": "openid profile email",
    });
    let machine = json!({
        "jti": "3", "aud": "freehold", "sub": "aaaaaaaa-bbbb-cccc-dddd-ffffffffffff", "typ": "Bearer",
        "azp": "backend", "client_id": "backend", "clientHost": "192.0.2.1", "scope": "fleet tenants:read",
        "preferred_username": "service-account-backend", "realm_access": { "roles": ["default-roles-staff"] },
    });
    keycloak.assert_reads(typ, &person).await;
    keycloak.assert_reads(typ, &machine).await;
    keycloak.assert_refused(typ, &person, &json!({ "realm_access": { "roles": ["offline_access"] } }), 403).await;
    keycloak.assert_refused(typ, &person, &json!({ "realm_access": ["support"] }), 403).await;
    keycloak.assert_refused(typ, &person, &json!({ "aud": "account" }), 401).await;
    keycloak.assert_refused(typ, &person, &json!({ "typ": "ID" }), 401).await;
    keycloak.assert_refused(typ, &person, &json!({ "typ": null }), 401).await;
    let other_realm = json!({ "iss": "https://login.example.com/realms/master" });
    keycloak.assert_refused(typ, &person, &other_realm, 401).await;
}

#[tokio::test]
async fn okta_scopes_are_mapped_by_a_table() {
    let okta = Provider::start("Okta").await;
    let person = json!({
        "ver": 1, "jti": "AT.1", "aud": "api://freehold", "cid": "0oaconsole", "uid": "00uann", "auth_time": now(),
        "scp": ["openid", "profile"], "groups": ["support"], "sub": "ann@example.com",
    });
    let machine = json!({
        "ver": 1, "jti": "AT.2", "aud": "api://freehold", "cid": "0oabackend", "scp": ["freehold.read"],
        "sub": "0oabackend",
    });
    okta.assert_reads(None, &person).await;
    okta.assert_reads(None, &machine).await;
    // Only the names of the table count, so the administrators of the issuer cannot grant other scopes.
    okta.assert_refused(None, &machine, &json!({ "scp": ["fleet", "tenants:read"] }), 403).await;
    okta.assert_refused(None, &machine, &json!({ "aud": "https://example.okta.com" }), 401).await;
    okta.assert_refused(None, &person, &json!({ "aud": "0oaconsole", "cid": null }), 401).await;
}

/// Starts an API that trusts the issuer of the fixture and Entra ID. Returns the keys of Entra ID.
async fn api_with_two_issuers() -> (ApiFixture, Issuer) {
    let (own, entra, mut config) = (Issuer::new(), Issuer::new(), config_of("Entra ID"));
    config.api.issuers[0].jwks = entra.jwks().display().to_string();
    config.api.issuers.push(TokenIssuer {
        issuer: ISSUER.to_owned(),
        audience: TextList(vec![AUDIENCE.to_owned()]),
        jwks: own.jwks().display().to_string(),
        ..TokenIssuer::default()
    });
    (ApiFixture::with_parsed(own, config, Clock::real(), |app| app).await, entra)
}

/// Returns a token of Entra ID with all scopes for a person who uses this client.
fn entra_token(api: &ApiFixture, keys: &Issuer, oid: &str, client: &str) -> String {
    let mut claims = entra_person();
    let iss = &api.config.api.issuers[0].issuer;
    let values =
        [("oid", oid), ("azp", client), ("sub", &format!("{oid} of {client}")), ("scp", ALL_SCOPES), ("iss", iss)];
    for (name, value) in values {
        claims[name] = json!(value);
    }
    claims["exp"] = json!(now() + 3600);
    keys.sign(&Header { typ: Some("JWT".to_owned()), ..keys.header() }, &claims)
}

#[tokio::test]
async fn one_person_with_two_clients_is_one_approver() {
    let (api, entra) = api_with_two_issuers().await;
    let tenant = api.sign_up(&signup_body()).await;
    api.park_with_remedies("account_email_taken", &[Remedy::Adopt]).await;
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let post = async |token: String, action: &str, body: Value| {
        send(api.request_without_token(Method::POST, &format!("{path}/{action}")).bearer_auth(token).json(&body)).await
    };
    let token = |oid, client| entra_token(&api, &entra, oid, client);
    let adopt = json!({ "aws_account_id": "777788889999" });
    let requested = post(token("ann", "console"), "adopt", adopt).await;
    assert_eq!(requested.status, 202, "{}", requested.text);
    let hash = json!({ "request_hash": requested.json()["approvals"][0]["request_hash"] });
    let own = post(token("ann", "command-line"), "approve", hash.clone()).await;
    assert_eq!(own.status_and_code(), (403, "approver_is_requester".into()));
    // The same subject of another issuer is another person.
    let other = api.issuer.token_with(ALL_SCOPES, &json!({ "sub": "ann" }));
    let approved = post(other, "approve", hash).await;
    assert_eq!(approved.status, 202, "{}", approved.text);
    assert_eq!(approved.json()["approvals"][0]["state"], "approved");
}

#[tokio::test]
async fn keys_of_one_issuer_verify_no_tokens_of_another() {
    let (api, mut entra) = api_with_two_issuers().await;
    assert_eq!(get(&api, READ, &entra_token(&api, &entra, "ann", "console")).await.status, 200);
    assert_eq!(get(&api, READ, &api.issuer.token(ALL_SCOPES)).await.status, 200);
    // Both issuers have a key `key-1`; only Entra ID has a key `key-2`.
    for _ in 0..2 {
        let claims = api.issuer.claims(ALL_SCOPES, &json!({}));
        let response =
            get(&api, READ, &entra.sign(&Header { typ: Some("at+jwt".into()), ..entra.header() }, &claims)).await;
        assert_eq!(response.status_and_code(), (401, "token_invalid".into()));
        entra.add_key();
    }
    let unknown = api.issuer.token_with(ALL_SCOPES, &json!({ "iss": "https://elsewhere.example.com" }));
    assert_eq!(get(&api, READ, &unknown).await.status_and_code(), (401, "token_invalid".into()));
    // The type and the audience of one issuer do not apply to the other.
    let claims = api.issuer.claims(ALL_SCOPES, &json!({ "aud": "66666666-7777-8888-9999-000000000000" }));
    assert_eq!(get(&api, READ, &api.issuer.sign(&api.issuer.header(), &claims)).await.status, 401);
    let untyped = Header { typ: None, ..api.issuer.header() };
    let untyped = api.issuer.sign(&untyped, &api.issuer.claims(ALL_SCOPES, &json!({})));
    assert_eq!(get(&api, READ, &untyped).await.status, 401);
}

#[tokio::test]
async fn a_roles_claim_that_no_token_has_is_logged_once() {
    let (log, _recording) = LogCapture::start();
    let (api, entra) = api_with_two_issuers().await;
    for number in 0..30 {
        let token = entra_token(&api, &entra, &format!("person-{number}"), "console");
        assert_eq!(get(&api, READ, &token).await.status, 200);
    }
    let messages = log.containing("roles_claim");
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("login.microsoftonline.com") && messages[0].contains("claim roles"), "{messages:?}");
}
