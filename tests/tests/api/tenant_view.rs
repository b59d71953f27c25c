//! Tests of the fields that a token of one tenant sees. Each value that such a token must not see contains `canary`.

use std::time::Duration;

use freehold_api::schema::{FeedEventPage, Operation, OperationPage, Tenant, TenantPage};
use freehold_tenancy::attention::{Attention, AttentionCode, Remedy};
use freehold_tenancy::db::lifecycle::StepDisposition;
use freehold_tenancy::db::operations;
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, read, send, signup_body_with};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Canaries, each for another field.
const CANARIES: [&str; 18] = [
    "canary-label",
    "canary-hold",
    "canary-staff",
    "canary-attention",
    "canary-attention-request",
    "canary-fact",
    "canary-ou",
    "canary-email",
    "canary-group",
    "canary-error",
    "canary-error-request",
    "canary-wait",
    "canary-skipped",
    "canary-requester",
    "canary-approver",
    "canary-request",
    "canary-finding",
    "canary-region",
];

const ACCOUNT: &str = "555566667777";

/// API with one tenant, whose environment `staging` needs attention.
struct Scene {
    api: ApiFixture,
    tenant: String,
    operation: String,
}

impl Scene {
    async fn new() -> Self {
        let api = ApiFixture::new().await;
        let body = signup_body_with(json!({ "labels": { "note": "canary-label" } }));
        let tenant = api.sign_up(&body).await["id"].as_str().unwrap().to_owned();
        api.succeed_operation(ACCOUNT).await;
        let environments = format!("/v1/tenants/{tenant}/environments");
        let token = api.issuer.token_with(ALL_SCOPES, &json!({ "sub": "canary-staff" }));
        let create = api.request_without_token(Method::POST, &environments).bearer_auth(token);
        let created = send(create.header("Idempotency-Key", "1").json(&json!({ "name": "staging" }))).await;
        assert_eq!(created.status, 202, "{}", created.text);
        let operation = created.json()["operation_id"].as_str().unwrap().to_owned();
        let claim = api.claim_operation().await;
        let attention = Attention {
            code: "account_email_taken".to_owned(),
            message: "The address canary-attention is taken.".to_owned(),
            remedies: vec![Remedy::Retry, Remedy::Cancel],
            aws_request_id: Some("canary-attention-request".to_owned()),
        };
        api.record_step(&claim, StepDisposition::Parked(attention), None).await;
        operations::release(&api.database.pool, &claim, None, api.clock.now()).await.unwrap();
        let scene = Self { api, tenant, operation };
        scene.plant().await;
        scene
    }

    /// Stores canaries in the columns that workers and staff write.
    async fn plant(&self) {
        let facts = json!({
            "residency_ou_id": "canary-ou", "account_email": "canary-email", "grants": { "x": "canary-group" },
            "other": ["canary-fact"],
        });
        let id: freehold_tenancy::OperationId = self.operation.parse().unwrap();
        let now = self.api.clock.now();
        let statements = [
            "update operation_steps set facts = $2, last_error = 'canary-error', waits_for = 'canary-wait',
                last_error_aws_request_id = 'canary-error-request'
                where operation_id = $1 and $3::timestamptz > '2000-01-01'",
            "insert into operation_steps (operation_id, name, position, after, state, facts, skip_reason, finished_at)
                values ($1, 'enable-regions', 30, '{}', 'done', $2, 'canary-skipped', $3)",
            "insert into events (operation_id, seq, tenant_id, environment_id, type, data, occurred_at)
                select id, last_seq + 1, tenant_id, environment_id, 'step.retrying', $2 || '{\"step\": \"verify\",
                \"error\": \"canary-error\", \"message\": \"canary-attention\", \"by\": \"canary-staff\"}', $3
                from operations where id = $1",
            "update operations set last_seq = last_seq + 1
                where id = $1 and $2::jsonb is not null and $3 > '2000-01-01'",
            "insert into approvals (id, operation_id, action, step, request, request_hash, requested_by, requested_at,
                state, decided_by, decided_at) values (gen_random_uuid(), $1, 'correct', 'request-account',
                '{\"account_email\": \"canary-request\"}' || $2::jsonb, repeat('0', 64),
                '{\"issuer\": \"x\", \"subject\": \"canary-requester\"}', $3, 'rejected',
                '{\"issuer\": \"x\", \"subject\": \"canary-approver\"}', $3)",
            "insert into findings (id, kind, subject, tenant_id, environment_id, first_seen_at, severity, message,
                remedy, last_seen_at) select gen_random_uuid(), 'wrong_ou', 'x', tenant_id, environment_id, $3, 'error',
                'canary-finding ' || $2::text, 'person', $3 from operations where id = $1",
            "insert into environment_replicas (environment_id, slot, region, created_at, state, since, message)
                select environment_id, 1, 'eu-west-1', $3, 'failed', $3, 'canary-region ' || $2::text
                from operations where id = $1",
        ];
        for statement in statements {
            let query = sqlx::query(statement).bind(id.as_uuid()).bind(&facts).bind(now);
            query.execute(&self.api.database.pool).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let hold = format!("/v1/tenants/{}/legal-hold", self.tenant);
        let held = send(self.api.request(Method::PUT, &hold).json(&json!({ "reason": "canary-hold" }))).await;
        assert_eq!(held.status, 200, "{}", held.text);
    }

    fn request(&self, method: Method, path: &str, is_tenant: bool) -> RequestBuilder {
        let claims = if is_tenant { json!({ "tenant_id": self.tenant }) } else { json!({}) };
        let token = self.api.issuer.token_with(ALL_SCOPES, &claims);
        self.api.request_without_token(method, path).bearer_auth(token)
    }

    /// Returns the routes that a token of one tenant can use: method and path with the ids of the tenant.
    fn routes(&self) -> Vec<(Method, String)> {
        let description: Value = serde_json::from_str(&freehold_api::openapi_json()).unwrap();
        let mut routes = Vec::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let Some(scopes) = operation["security"][0]["bearer"].as_array() else { continue };
                if scopes.contains(&json!("fleet")) {
                    continue;
                }
                let id = if path.starts_with("/v1/operations") { &self.operation } else { &self.tenant };
                let path = path.replace("{id}", id).replace("{name}", "staging").replace("{aws_account_id}", ACCOUNT);
                routes.push((method.to_uppercase().parse().unwrap(), path));
            }
        }
        routes
    }
}

/// Sends a request. Of an event stream, the stored events are read.
async fn answer(request: RequestBuilder) -> ApiResponse {
    let mut response = request.send().await.unwrap();
    if response.headers()["content-type"] != "text/event-stream" {
        return read(response).await;
    }
    let (status, headers, mut text) = (response.status(), response.headers().clone(), String::new());
    while !text.contains("event: step.retrying") || !text.ends_with("\n\n") {
        let chunk = tokio::time::timeout(Duration::from_mins(1), response.chunk()).await.expect("an event");
        text.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("the planted event")));
    }
    ApiResponse { status, headers, text }
}

#[tokio::test]
async fn a_token_of_one_tenant_sees_declared_fields_only() {
    let scene = Scene::new().await;
    let management = scene.api.config.organization.management_account_id.to_string();
    let mut routes = scene.routes();
    let get = Method::GET;
    for query in ["", "?page_size=1"] {
        routes.push((get.clone(), format!("/v1/account-mappings{query}")));
    }
    let mut fleet = String::new();
    let (mut cases, mut successful) = (0, 0);
    // The routes that change something come last, because later routes read the changes.
    routes.sort_by_key(|(method, _)| *method != Method::GET);
    for (method, path) in &routes {
        for accept in ["application/json", "application/x-ndjson", "text/csv"] {
            if accept != "application/json" && path != "/v1/account-mappings" {
                continue;
            }
            if *method == Method::GET {
                fleet += &answer(scene.request(method.clone(), path, false).header("Accept", accept)).await.text;
            }
            let seen = answer(scene.request(method.clone(), path, true).header("Accept", accept)).await;
            assert!(seen.status.as_u16() < 500, "{method} {path}: {}", seen.text);
            assert!(!seen.text.contains("canary"), "{method} {path} as {accept}: {}", seen.text);
            assert!(!seen.text.contains(&management), "{method} {path} as {accept}: {}", seen.text);
            assert!(seen.text.len() > 2, "{method} {path} as {accept} has no field");
            cases += 1;
            successful += usize::from(seen.status.is_success());
        }
    }
    for canary in CANARIES {
        assert!(fleet.contains(canary), "no route shows {canary} to the operator");
    }
    assert!(fleet.contains(&management));
    eprintln!("{cases} responses to a tenant, {successful} of them successful");
    assert!(cases >= 17 && successful >= 13, "{cases} cases, {successful} successful");
}

#[tokio::test]
async fn clients_can_read_the_responses_to_a_tenant() {
    let scene = Scene::new().await;
    let get = async |path: &str| send(scene.request(Method::GET, path, true)).await.text;
    let tenant: Tenant = serde_json::from_str(&get(&format!("/v1/tenants/{}", scene.tenant)).await).unwrap();
    assert_eq!((tenant.environments.len(), tenant.legal_hold), (2, None));
    assert_eq!(tenant.admin_email.as_deref(), Some("admin@example.com"));
    let operation: Operation =
        serde_json::from_str(&get(&format!("/v1/operations/{}", scene.operation)).await).unwrap();
    let attention = operation.attention.unwrap();
    assert_eq!(attention.code, "account_email_taken");
    assert_eq!(attention.tell_customer, AttentionCode::AccountEmailTaken.customer_sentence());
    assert_eq!(operation.steps.unwrap()[0].state, "parked");
    let events: FeedEventPage = serde_json::from_str(&get("/v1/events").await).unwrap();
    assert!(events.events.iter().all(|event| event.source == "urn:freehold"));
    assert_eq!(events.events.iter().filter(|event| event.data.aws_account_id.as_deref() == Some(ACCOUNT)).count(), 1);
    let tenants: TenantPage = serde_json::from_str(&get("/v1/tenants").await).unwrap();
    assert_eq!(tenants.tenants.len(), 1);
    let operations: OperationPage = serde_json::from_str(&get("/v1/operations").await).unwrap();
    assert_eq!(operations.operations.len(), 2);
}

#[tokio::test]
async fn the_description_names_the_fields_that_a_tenant_does_not_see() {
    let description: Value = serde_json::from_str(&freehold_api::openapi_json()).unwrap();
    for (schema, field) in
        [("Tenant", "legal_hold"), ("Operation", "requested_by"), ("Step", "facts"), ("Approval", "decided_by")]
    {
        let text = description["components"]["schemas"][schema]["properties"][field]["description"].as_str().unwrap();
        assert!(text.ends_with("Not sent to a token of one tenant."), "{schema}.{field}: {text}");
    }
}
