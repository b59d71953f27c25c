//! Who may do what: every route, with every scope, for those who see every tenant and for those who see one.

use freehold_api::Scope;
use freehold_tenancy::Config;
use freehold_tests::api_fixture::{Answered, EVERY_SCOPE, Served, read, send, signup, signup_with};
use reqwest::Method;
use serde_json::{Value, json};

/// A route, as its description shows it.
#[derive(Debug)]
struct Route {
    method: Method,
    path: String,
    /// What a token needs for it; none where it needs no token.
    scope: Option<Scope>,
    /// Whether it is for those alone who see every tenant.
    for_the_fleet: bool,
}

/// Every route.
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
                for_the_fleet: needed.contains(&Scope::Fleet),
            });
        }
    }
    assert_eq!(routes.len(), 42, "routes");
    routes
}

impl Route {
    /// Whether it is about one tenant, which its path names.
    fn is_about_one(&self) -> bool {
        self.path.contains("{id}") || self.path.contains("{aws_account_id}")
    }

    /// Its path, about this tenant.
    fn about(&self, tenant: &Value) -> String {
        let (id, environment) = (tenant["id"].as_str().unwrap(), &tenant["environments"][0]);
        let id =
            if self.path.starts_with("/v1/operations") { environment["operation_id"].as_str().unwrap() } else { id };
        let account = match tenant["company_name"].as_str() {
            Some("Example GmbH") => "111122223333",
            Some("Other GmbH") => "222233334444",
            _ => "999999999999",
        };
        self.path.replace("{id}", id).replace("{name}", "production").replace("{aws_account_id}", account)
    }

    /// What it answers to a token with these claims.
    async fn ask(&self, api: &Served, path: &str, claims: &Value) -> Answered {
        let request = api.bare(self.method.clone(), path).bearer_auth(api.issuer.token_with("", claims));
        let response = request.send().await.unwrap();
        // The events of an operation that goes on do not end.
        if response.status() == 200 && path.ends_with("/events") {
            let (status, headers) = (response.status(), response.headers().clone());
            return Answered { status, headers, text: String::new() };
        }
        read(response).await
    }
}

/// Whether somebody got in, whatever came of it then.
fn got_in(answered: &Answered) -> bool {
    ![401, 403, 404, 500].contains(&answered.status.as_u16())
}

#[tokio::test]
async fn each_route_needs_its_scope_and_no_other() {
    let api = Served::new().await;
    for route in routes() {
        let Route { method, path, scope, .. } = &route;
        let path = path.replace("{id}", "4711").replace("{name}", "production");
        let without = send(api.bare(method.clone(), &path)).await;
        let Some(needed) = scope else {
            assert_eq!(without.status, 200, "{method} {path} needs no token");
            continue;
        };
        assert_eq!(without.outcome(), (401, "token_missing".into()), "{method} {path}");
        assert_eq!(without.header("www-authenticate"), "Bearer");
        for scope in Scope::ALL {
            let answered = route.ask(&api, &path, &json!({ "scope": format!("fleet {scope}") })).await;
            if scope == *needed {
                assert!(![401, 403, 500].contains(&answered.status.as_u16()), "{method} {path}: {}", answered.text);
                assert_eq!(answered.header("cache-control"), "no-store");
            } else {
                assert_eq!(answered.outcome(), (403, "insufficient_scope".into()), "{method} {path} with {scope}");
                assert!(answered.header("www-authenticate").contains(&format!("scope=\"{needed}\"")));
                assert!(answered.json()["detail"].as_str().unwrap().contains(needed.as_str()));
            }
        }
    }
}

#[tokio::test]
async fn a_token_for_one_tenant_reaches_that_tenant_and_no_other() {
    let api = Served::new().await;
    let own = api.signed_up(&signup()).await;
    api.succeed("111122223333").await;
    let other = api.signed_up(&signup_with(json!({ "company_name": "Other GmbH" }))).await;
    api.succeed("222233334444").await;
    let untouched = api.get(&format!("/v1/tenants/{}", other["id"].as_str().unwrap())).await.json();
    for route in routes() {
        let Route { method, path, scope: Some(needed), .. } = &route else { continue };
        for scope in Scope::ALL {
            // That it also has the scope of the fleet does not widen a token that names a tenant.
            let claims = json!({ "scope": format!("{scope} fleet"), "tenant_id": own["id"] });
            let (to_own, to_other) = (
                route.ask(&api, &route.about(&own), &claims).await,
                route.ask(&api, &route.about(&other), &claims).await,
            );
            if scope != *needed || route.for_the_fleet {
                for answered in [&to_own, &to_other] {
                    assert_eq!(answered.outcome(), (403, "insufficient_scope".into()), "{method} {path} with {scope}");
                }
                continue;
            }
            assert!(got_in(&to_own), "{method} {path} of one's own: {} {}", to_own.status, to_own.text);
            if route.is_about_one() {
                assert_eq!(to_other.status, 404, "{method} {path} of another: {}", to_other.text);
                let nobody =
                    other.to_string().replace("ten_0", "ten_7").replace("op_0", "op_7").replace("Other GmbH", "Nobody");
                let nobody = route.ask(&api, &route.about(&serde_json::from_str(&nobody).unwrap()), &claims).await;
                let (told, of_nobody) = (to_other.json(), nobody.json());
                assert_eq!(
                    (told["code"].clone(), told["detail"].clone()),
                    (of_nobody["code"].clone(), of_nobody["detail"].clone())
                );
            } else {
                let other = other["id"].as_str().unwrap();
                assert!(!to_own.text.contains(other), "{method} {path} shows another: {}", to_own.text);
            }
        }
    }
    let now = api.get(&format!("/v1/tenants/{}", other["id"].as_str().unwrap())).await.json();
    assert_eq!(now, untouched, "something was done to another tenant");
}

#[tokio::test]
async fn a_list_is_narrowed_to_ones_own_and_cannot_be_widened() {
    let api = Served::new().await;
    let own = api.signed_up(&signup()).await;
    api.succeed("111122223333").await;
    let other = api.signed_up(&signup()).await;
    api.succeed("222233334444").await;
    let claims = json!({ "scope": EVERY_SCOPE, "tenant_id": own["id"] });
    let get =
        async |path: &str| send(api.bare(Method::GET, path).bearer_auth(api.issuer.token_with("", &claims))).await;
    for (list, rows) in [("tenants", "tenants"), ("operations", "operations"), ("account-mappings", "account_mappings")]
    {
        assert_eq!(api.get(&format!("/v1/{list}")).await.json()[rows].as_array().unwrap().len(), 2, "{list}");
        let seen = get(&format!("/v1/{list}")).await.json();
        assert_eq!(seen[rows].as_array().unwrap().len(), 1, "{list}: {seen}");
        assert!(seen.to_string().contains(own["id"].as_str().unwrap()), "{list}: {seen}");
        if list != "tenants" {
            let others = get(&format!("/v1/{list}?tenant={}", other["id"].as_str().unwrap())).await;
            assert_eq!(others.outcome(), (404, "tenant_not_found".into()), "{list}");
        }
    }
}

#[tokio::test]
async fn who_does_not_say_whom_they_may_see_sees_nobody() {
    let api = Served::new().await;
    let scopes = EVERY_SCOPE.replace("fleet ", "");
    for route in routes().iter().filter(|route| route.scope.is_some()) {
        let path = route.path.replace("{id}", "4711").replace("{name}", "production");
        let neither = route.ask(&api, &path, &json!({ "scope": scopes })).await;
        assert_eq!(neither.outcome(), (403, "insufficient_scope".into()), "{} {path}", route.method);
        for claim in [
            json!(""),
            json!("4711"),
            json!("env_01k2m8v3x9e7rt4s5q6w7y8z9b"),
            json!(7),
            json!([]),
            json!(["ten_01k2m8v3x9e7rt4s5q6w7y8z9b"]),
        ] {
            let claims = json!({ "scope": EVERY_SCOPE, "tenant_id": claim });
            let malformed = route.ask(&api, &path, &claims).await;
            assert_eq!(
                malformed.outcome(),
                (403, "tenant_claim_invalid".into()),
                "{} {path} for {claim}",
                route.method
            );
        }
    }
}

#[tokio::test]
async fn a_role_stands_for_what_the_configuration_says() {
    let api =
        Served::with_config("roles_claim = \"groups\"\n[api.roles]\nauditor = [\"fleet\", \"operations:read\"]").await;
    let get = async |path: &str, roles: Value| {
        let claims = json!({ "scope": null, "groups": roles, "roles": ["admin"] });
        send(api.bare(Method::GET, path).bearer_auth(api.issuer.token_with("", &claims))).await.status.as_u16()
    };
    assert_eq!(get("/v1/operations", json!(["staff", "auditor"])).await, 200);
    assert_eq!(get("/v1/operations", json!("auditor")).await, 200, "as issuers with one text have it");
    assert_eq!(get("/v1/tenants", json!(["auditor"])).await, 403, "a scope that the role does not have");
    let unsaid = Served::new().await;
    let admin = unsaid.issuer.token_with("", &json!({ "scope": null, "roles": ["admin", "support"] }));
    let answered = send(unsaid.bare(Method::GET, "/v1/tenants").bearer_auth(admin)).await;
    assert_eq!(answered.status, 403, "a role that nobody has declared stands for something");
    for nothing in
        [json!(["admin"]), json!(["support"]), json!([]), json!(null), json!({ "auditor": true }), json!([7])]
    {
        assert_eq!(get("/v1/operations", nothing.clone()).await, 403, "{nothing}");
    }
}

#[tokio::test]
async fn the_example_has_roles_for_support_billing_approver_and_admin() {
    let example = Config::parse(include_str!("../../../freehold.example.toml")).unwrap();
    let roles = example.api.roles.iter().map(|(role, scopes)| format!("{role} = {}\n", json!(scopes)));
    let api = Served::with_config(&format!("[api.roles]\n{}", roles.collect::<String>())).await;
    for (role, allowed) in [
        (
            "support",
            vec![
                Scope::TenantsRead,
                Scope::OperationsRead,
                Scope::OperationsWrite,
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
                Scope::AccountMappingsRead,
                Scope::EventsRead,
            ],
        ),
        ("admin", Scope::ALL.to_vec()),
    ] {
        for route in routes() {
            let Some(needed) = route.scope else { continue };
            let path = route.path.replace("{id}", "4711").replace("{name}", "production");
            let answered = route.ask(&api, &path, &json!({ "scope": null, "roles": [role] })).await;
            let expected = allowed.contains(&needed);
            assert_eq!(answered.status != 403, expected, "{role}: {} {path}: {}", route.method, answered.text);
        }
    }
}

#[test]
fn every_scope_is_needed_somewhere() {
    let routes = routes();
    for scope in Scope::ALL {
        let needed = routes.iter().any(|route| route.scope == Some(scope)) || scope == Scope::Fleet;
        assert!(needed, "{scope}");
    }
}
