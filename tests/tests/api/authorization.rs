//! Tests of authorization: every route with every scope, for tokens that can access all tenants and tokens that can
//! access only one tenant.

use freehold_api::Scope;
use freehold_tenancy::Config;
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, read, send, signup_body, signup_body_with};
use reqwest::Method;
use serde_json::{Value, json};

#[derive(Debug)]
struct Route {
    method: Method,
    path: String,
    /// Scope that a token needs for this route; `None` if the route needs no token.
    scope: Option<Scope>,
    /// Further scope that a token needs.
    further_scope: Option<Scope>,
    /// True if a token for this route needs access to all tenants.
    requires_fleet_scope: bool,
}

fn routes() -> Vec<Route> {
    let description: Value = serde_json::from_str(&freehold_api::openapi_json()).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let needed: Vec<Scope> = match operation["security"][0]["bearer"].as_array() {
                Some(scopes) => scopes.iter().map(|scope| scope.as_str().unwrap().parse().unwrap()).collect(),
                None => vec![],
            };
            routes.push(Route {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scope: needed.first().copied(),
                further_scope: needed.iter().skip(1).copied().find(|scope| *scope != Scope::Fleet),
                requires_fleet_scope: needed.contains(&Scope::Fleet),
            });
        }
    }
    assert!(routes.len() >= 53, "only {} routes", routes.len());
    routes
}

impl Route {
    /// Returns whether the path refers to one tenant.
    fn has_tenant_id(&self) -> bool {
        self.path.contains("{id}") || self.path.contains("{aws_account_id}")
    }

    /// Returns the path with the ids of `tenant` in place of the parameters.
    fn path_for(&self, tenant: &Value) -> String {
        let (id, environment) = (tenant["id"].as_str().unwrap(), &tenant["environments"][0]);
        // An approval is never a tenant's, so that its id does not matter.
        let id =
            if self.path.starts_with("/v1/operations") { environment["operation_id"].as_str().unwrap() } else { id };
        let account = match tenant["company_name"].as_str() {
            Some("Example GmbH") => "111122223333",
            Some("Other GmbH") => "222233334444",
            _ => "999999999999",
        };
        self.path.replace("{id}", id).replace("{name}", "production").replace("{aws_account_id}", account)
    }

    /// Sends a request with a token that has these claims.
    async fn send_with_claims(&self, api: &ApiFixture, path: &str, claims: &Value) -> ApiResponse {
        let request =
            api.request_without_token(self.method.clone(), path).bearer_auth(api.issuer.token_with("", claims));
        let response = request.send().await.unwrap();
        // The event stream of an open operation never ends.
        if response.status() == 200 && path.ends_with("/events") {
            let (status, headers) = (response.status(), response.headers().clone());
            return ApiResponse { status, headers, text: String::new() };
        }
        read(response).await
    }
}

/// Returns whether the request was authorized; it may have failed for other reasons.
fn is_authorized(response: &ApiResponse) -> bool {
    ![401, 403, 404, 500].contains(&response.status.as_u16())
}

/// Tenants that a token can access, in relation to the tenant whose resources a request names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Access {
    Fleet,
    Own,
    Other,
    None,
}

#[tokio::test]
async fn each_route_admits_exactly_the_documented_tokens() {
    let api = ApiFixture::new().await;
    let own = api.sign_up(&signup_body()).await;
    api.succeed_operation("111122223333").await;
    let other = api.sign_up(&signup_body_with(json!({ "company_name": "Other GmbH" }))).await;
    api.succeed_operation("222233334444").await;
    let untouched = api.get(&format!("/v1/tenants/{}", other["id"].as_str().unwrap())).await.json();
    let (mut cases, mut admitted) = (0, 0);
    for route in routes() {
        let Route { method, path, scope, further_scope, .. } = &route;
        // No resource has this id, so that a request of the operator changes nothing.
        let unknown = path.replace("{id}", "4711").replace("{name}", "production");
        let without = send(api.request_without_token(method.clone(), &unknown)).await;
        cases += 1;
        let Some(needed) = scope else {
            assert_eq!(without.status, 200, "{method} {path} needs no token");
            continue;
        };
        assert_eq!(without.status_and_code(), (401, "token_missing".into()), "{method} {path}");
        assert_eq!(without.header("www-authenticate"), "Bearer");
        let further = further_scope.map_or_else(String::new, |scope| scope.to_string());
        if let Some(further_scope) = further_scope {
            let claims = json!({ "scope": format!("fleet {needed}") });
            let response = route.send_with_claims(&api, &unknown, &claims).await;
            cases += 1;
            assert_eq!(response.status_and_code(), (403, "insufficient_scope".into()), "{method} {path}");
            assert!(response.header("www-authenticate").contains(&format!("scope=\"{further_scope}\"")));
        }
        for scope in Scope::ALL {
            for access in [Access::Fleet, Access::None, Access::Own, Access::Other] {
                let case = format!("{method} {path} with {scope} and access {access:?}");
                let (claims, path) = match access {
                    Access::Fleet => (json!({ "scope": format!("fleet {further} {scope}") }), unknown.clone()),
                    Access::None => (json!({ "scope": format!("{further} {scope}") }), unknown.clone()),
                    // The scope `fleet` has no effect in a token with a `tenant_id`.
                    Access::Own => (
                        json!({ "scope": format!("{further} {scope} fleet"), "tenant_id": own["id"] }),
                        route.path_for(&own),
                    ),
                    Access::Other => (
                        json!({ "scope": format!("{further} {scope} fleet"), "tenant_id": own["id"] }),
                        route.path_for(&other),
                    ),
                };
                let response = route.send_with_claims(&api, &path, &claims).await;
                cases += 1;
                if response.header("content-type") != "text/event-stream" {
                    assert_eq!(response.header("cache-control"), "no-store", "{case}");
                }
                let has_access = match access {
                    Access::Fleet => true,
                    // With this scope, the token has access to all tenants.
                    Access::None => scope == Scope::Fleet,
                    Access::Own | Access::Other => !route.requires_fleet_scope,
                };
                if scope != *needed || !has_access {
                    assert_eq!(response.status_and_code(), (403, "insufficient_scope".into()), "{case}");
                    assert!(response.header("www-authenticate").contains("insufficient_scope"), "{case}");
                    if access == Access::Fleet {
                        let challenge = format!("scope=\"{needed}\"");
                        assert!(response.header("www-authenticate").contains(&challenge), "{case}");
                        assert!(response.json()["detail"].as_str().unwrap().contains(needed.as_str()), "{case}");
                    }
                    continue;
                }
                admitted += 1;
                match access {
                    Access::Fleet | Access::None => {
                        assert!(![401, 403, 500].contains(&response.status.as_u16()), "{case}: {}", response.text);
                    }
                    Access::Own => {
                        assert!(is_authorized(&response), "{case}: {} {}", response.status, response.text);
                        let other = other["id"].as_str().unwrap();
                        assert!(!response.text.contains(other), "{case} shows another tenant: {}", response.text);
                    }
                    Access::Other if route.has_tenant_id() => {
                        assert_eq!(response.status, 404, "{case}: {}", response.text);
                        assert_eq!(
                            response.json(),
                            not_found(&api, &route, &other, &claims, &response).await,
                            "{case}"
                        );
                    }
                    Access::Other => {
                        let other = other["id"].as_str().unwrap();
                        assert!(!response.text.contains(other), "{case} shows another tenant: {}", response.text);
                    }
                }
            }
        }
    }
    let now = api.get(&format!("/v1/tenants/{}", other["id"].as_str().unwrap())).await.json();
    assert_eq!(now, untouched, "another tenant was changed");
    eprintln!("{cases} requests, {admitted} admitted");
    assert!(cases > 2000, "only {cases} requests");
}

/// Returns the response to a request for a resource that does not exist, with the request id of `response`.
async fn not_found(api: &ApiFixture, route: &Route, other: &Value, claims: &Value, response: &ApiResponse) -> Value {
    let unknown = other.to_string().replace("ten_0", "ten_7").replace("op_0", "op_7").replace("Other GmbH", "Unknown");
    let path = route.path_for(&serde_json::from_str(&unknown).unwrap());
    let mut problem = route.send_with_claims(api, &path, claims).await.json();
    problem["request_id"] = response.json()["request_id"].clone();
    problem
}

#[tokio::test]
async fn lists_show_only_the_tenant_of_the_token() {
    let api = ApiFixture::new().await;
    let own = api.sign_up(&signup_body()).await;
    api.succeed_operation("111122223333").await;
    let other = api.sign_up(&signup_body()).await;
    api.succeed_operation("222233334444").await;
    let claims = json!({ "scope": ALL_SCOPES, "tenant_id": own["id"] });
    let get = async |path: &str| {
        send(api.request_without_token(Method::GET, path).bearer_auth(api.issuer.token_with("", &claims))).await
    };
    for (list, rows) in [("tenants", "tenants"), ("operations", "operations"), ("account-mappings", "account_mappings")]
    {
        assert_eq!(api.get(&format!("/v1/{list}")).await.json()[rows].as_array().unwrap().len(), 2, "{list}");
        let page = get(&format!("/v1/{list}")).await.json();
        assert_eq!(page[rows].as_array().unwrap().len(), 1, "{list}: {page}");
        assert!(page.to_string().contains(own["id"].as_str().unwrap()), "{list}: {page}");
        if list != "tenants" {
            let others = get(&format!("/v1/{list}?tenant={}", other["id"].as_str().unwrap())).await;
            assert_eq!(others.status_and_code(), (404, "tenant_not_found".into()), "{list}");
        }
    }
}

#[tokio::test]
async fn a_token_without_tenant_scope_is_rejected() {
    let api = ApiFixture::new().await;
    let scopes = ALL_SCOPES.replace("fleet ", "");
    for route in routes().iter().filter(|route| route.scope.is_some()) {
        let path = route.path.replace("{id}", "4711").replace("{name}", "production");
        let neither = route.send_with_claims(&api, &path, &json!({ "scope": scopes })).await;
        assert_eq!(neither.status_and_code(), (403, "insufficient_scope".into()), "{} {path}", route.method);
        for claim in [
            json!(""),
            json!("4711"),
            json!("env_01k2m8v3x9e7rt4s5q6w7y8z9b"),
            json!(7),
            json!([]),
            json!(["ten_01k2m8v3x9e7rt4s5q6w7y8z9b"]),
        ] {
            let claims = json!({ "scope": ALL_SCOPES, "tenant_id": claim });
            let malformed = route.send_with_claims(&api, &path, &claims).await;
            assert_eq!(
                malformed.status_and_code(),
                (403, "tenant_claim_invalid".into()),
                "{} {path} for {claim}",
                route.method
            );
        }
    }
}

#[tokio::test]
async fn a_role_grants_the_scopes_of_the_configuration() {
    let api =
        ApiFixture::with_config("roles_claim = \"groups\"\n[api.roles]\nauditor = [\"fleet\", \"operations:read\"]")
            .await;
    let get = async |path: &str, roles: Value| {
        let claims = json!({ "scope": null, "groups": roles, "roles": ["admin"] });
        send(api.request_without_token(Method::GET, path).bearer_auth(api.issuer.token_with("", &claims)))
            .await
            .status
            .as_u16()
    };
    assert_eq!(get("/v1/operations", json!(["staff", "auditor"])).await, 200);
    assert_eq!(get("/v1/operations", json!("auditor")).await, 200, "a role as a single string");
    assert_eq!(get("/v1/tenants", json!(["auditor"])).await, 403, "a scope outside the role");
    let without_roles = ApiFixture::new().await;
    let admin = without_roles.issuer.token_with("", &json!({ "scope": null, "roles": ["admin", "support"] }));
    let response = send(without_roles.request_without_token(Method::GET, "/v1/tenants").bearer_auth(admin)).await;
    assert_eq!(response.status, 403, "an undeclared role grants a scope");
    for claim in [json!(["admin"]), json!(["support"]), json!([]), json!(null), json!({ "auditor": true }), json!([7])]
    {
        assert_eq!(get("/v1/operations", claim.clone()).await, 403, "{claim}");
    }
}

#[tokio::test]
async fn the_roles_of_the_example_allow_exactly_their_routes() {
    let example = Config::parse(include_str!("../../../freehold.example.toml")).unwrap();
    let roles = example.api.roles.iter().map(|(role, scopes)| format!("{role} = {}\n", json!(scopes)));
    let api = ApiFixture::with_config(&format!("[api.roles]\n{}", roles.collect::<String>())).await;
    for (role, allowed) in [
        (
            "support",
            vec![
                Scope::TenantsRead,
                Scope::OperationsRead,
                Scope::OperationsWrite,
                Scope::ReleasesRead,
                Scope::RolloutsRead,
                Scope::AccountMappingsRead,
                Scope::EventsRead,
            ],
        ),
        ("billing", vec![Scope::TenantsRead, Scope::AccountMappingsRead, Scope::EventsRead]),
        (
            "approver",
            vec![
                Scope::TenantsRead,
                Scope::OperationsRead,
                Scope::OperationsApprove,
                Scope::ReleasesRead,
                Scope::ReleasesApprove,
                Scope::RolloutsRead,
                Scope::RolloutsApprove,
                Scope::AccountMappingsRead,
                Scope::EventsRead,
            ],
        ),
        // The people who give access do not review it.
        ("admin", Scope::ALL.into_iter().filter(|scope| *scope != Scope::AccessRead).collect()),
        ("auditor", vec![Scope::AuditRead, Scope::AccessRead]),
    ] {
        for route in routes() {
            let Some(needed) = route.scope else { continue };
            let path = route.path.replace("{id}", "4711").replace("{name}", "production");
            let response = route.send_with_claims(&api, &path, &json!({ "scope": null, "roles": [role] })).await;
            let expected =
                allowed.contains(&needed) && route.further_scope.is_none_or(|scope| allowed.contains(&scope));
            assert_eq!(response.status != 403, expected, "{role}: {} {path}: {}", route.method, response.text);
        }
    }
}

#[test]
fn every_scope_is_needed_by_a_route() {
    let routes = routes();
    for scope in Scope::ALL {
        let is_required = |route: &Route| [route.scope, route.further_scope].contains(&Some(scope));
        let needed = routes.iter().any(is_required) || scope == Scope::Fleet;
        assert!(needed, "{scope}");
    }
}
