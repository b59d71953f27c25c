//! Tests of the routes for residency proofs, with a worker that observes the simulated AWS.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body, signup_body_with};
use freehold_tests::fixture::Freehold;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Method;
use serde_json::{Value, json};

use crate::steps::reconcile::administrator::Administrator;
use crate::steps::residency_proof::{config, signer};

/// Installation with a ready tenant, which has a replica.
struct Scene {
    freehold: Freehold,
    api: ApiFixture,
    tenant: String,
}

impl Scene {
    async fn new() -> Self {
        let freehold = Freehold::with(Settings::instant(), &config()).await;
        let api = ApiFixture::of(&freehold, &config()).await;
        let body = signup_body_with(json!({ "replica_regions": ["eu-west-1"] }));
        let tenant = api.sign_up(&body).await["id"].as_str().unwrap().to_owned();
        let scene = Self { freehold, api, tenant };
        scene.run().await;
        scene
    }

    async fn run(&self) {
        self.freehold.run_until_idle(&self.freehold.worker("worker"), TimeDelta::days(1)).await;
    }

    fn path(&self) -> String {
        format!("/v1/tenants/{}/environments/production/residency-proof", self.tenant)
    }

    async fn refresh(&self) {
        let started = self.api.post(&self.path()).await;
        assert_eq!(started.status, 202, "{}", started.text);
        self.run().await;
        let operation = self.api.get(started.header("location")).await.json();
        assert_eq!((&operation["kind"], &operation["state"]), (&json!("prove_residency"), &json!("succeeded")));
    }

    async fn get_as(&self, accept: &str) -> ApiResponse {
        send(self.api.request(Method::GET, &self.path()).header("Accept", accept)).await
    }
}

#[tokio::test]
async fn an_api_without_a_key_says_how_to_configure_it() {
    let api = ApiFixture::new().await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/tenants/{}/environments/production/residency-proof", tenant["id"].as_str().unwrap());
    for response in [api.get(&path).await, api.post(&path).await] {
        assert_eq!(response.status_and_code(), (409, "residency_proofs_not_configured".into()));
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("FREEHOLD_PROOF__SIGNING_KEY") && detail.contains("public_keys"), "{detail}");
    }
    assert_eq!(api.get("/v1/residency-proof-keys").await.json(), json!({ "keys": [] }));
}

#[tokio::test]
async fn a_proof_is_refreshed_and_served_in_three_forms() {
    let scene = Scene::new().await;
    let (api, path) = (&scene.api, scene.path());
    assert_eq!(api.get(&path).await.status_and_code(), (404, "residency_proof_not_found".into()));
    let post = || api.request(Method::POST, &path).header("Idempotency-Key", "proof-1");
    let started = send(post()).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let operation = started.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(started.header("location"), format!("/v1/operations/{operation}"));
    let repeated = send(post()).await;
    assert_eq!((repeated.header("idempotency-replayed"), &repeated.json()["id"]), ("true", &json!(operation)));
    let same = api.post(&path).await;
    assert_eq!((same.status.as_u16(), &same.json()["id"]), (202, &json!(operation)), "one open refresh at a time");
    scene.run().await;

    let proof = api.get(&path).await;
    assert_eq!((proof.status.as_u16(), proof.header("content-type")), (200, "application/json"));
    let proof = proof.json();
    assert_eq!((&proof["conforms"], &proof["operation_id"]), (&json!(true), &json!(operation)), "{proof:#}");
    assert_eq!(proof["document"]["tenant_id"], json!(scene.tenant));
    assert_eq!(proof["document"]["requested_regions"], json!(["eu-central-1", "eu-west-1"]));

    // Another implementation of JWS verifies the document with the served key, which needs no token.
    let keys = send(api.request_without_token(Method::GET, "/v1/residency-proof-keys")).await.json();
    let key = &keys["keys"][0];
    assert_eq!((&key["kid"], keys["keys"].as_array().unwrap().len()), (&proof["key_id"], 1));
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let decoding = DecodingKey::from_ed_components(key["x"].as_str().unwrap()).unwrap();
    let jws = proof["jws"].as_str().unwrap();
    let verified = jsonwebtoken::decode::<Value>(jws, &decoding, &validation).unwrap();
    assert_eq!(verified.claims, proof["document"]);
    assert_eq!(verified.header.kid.as_deref(), Some(signer().public_key().id().as_str()));

    let compact = scene.get_as("application/jose").await;
    assert_eq!((compact.text.as_str(), compact.header("content-type")), (jws, "application/jose"));
    let page = scene.get_as("text/html, */*;q=0.1").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for text in [
        "<!doctype html>",
        "The environment conforms",
        "freehold-region-eu",
        "&quot;OnlyTheseRegions&quot;",
        "What this document does not prove",
        jws,
    ] {
        assert!(page.text.contains(text), "{text} is missing: {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("http://"), "{}", page.text);
    assert_eq!(scene.get_as("text/csv").await.status_and_code(), (406, "not_acceptable".into()));
}

#[tokio::test]
async fn a_refreshed_proof_says_that_the_policy_was_detached() {
    let scene = Scene::new().await;
    scene.refresh().await;
    assert_eq!(scene.api.get(&scene.path()).await.json()["conforms"], true);
    Administrator::of(&scene.freehold).detach("freehold-region-eu", "freehold-eu").await;
    scene.freehold.clock.advance(std::time::Duration::from_mins(10));
    assert_eq!(scene.api.get(&scene.path()).await.json()["conforms"], true, "a proof describes its own time");
    scene.refresh().await;
    let proof = scene.api.get(&scene.path()).await.json();
    assert_eq!(proof["conforms"], false);
    assert!(proof["document"]["reasons"].to_string().contains("is attached neither"), "{proof:#}");
    let page = scene.get_as("text/html").await.text;
    assert!(page.contains("does NOT conform") && page.contains("is attached neither"), "{page}");
}

#[tokio::test]
async fn a_token_of_one_tenant_reads_its_own_proof_only() {
    let scene = Scene::new().await;
    scene.refresh().await;
    let other = scene.api.sign_up(&signup_body_with(json!({ "company_name": "Other GmbH" }))).await;
    let request = |method: Method, tenant: &str, accept: &str| {
        let token = scene.api.issuer.token_with(ALL_SCOPES, &json!({ "tenant_id": tenant }));
        let request = scene.api.request_without_token(method, &scene.path());
        send(request.bearer_auth(token).header("Accept", accept))
    };
    let whole = scene.api.get(&scene.path()).await.json();
    assert_eq!(request(Method::GET, &scene.tenant, "application/json").await.json(), whole);
    for accept in ["text/html", "application/jose"] {
        assert_eq!(request(Method::GET, &scene.tenant, accept).await.text, scene.get_as(accept).await.text, "{accept}");
    }
    let refused = request(Method::GET, other["id"].as_str().unwrap(), "application/json").await;
    assert_eq!(refused.status_and_code(), (404, "tenant_not_found".into()));
    assert_eq!(request(Method::POST, &scene.tenant, "application/json").await.status, 403);
}

#[tokio::test]
async fn an_environment_that_is_not_ready_has_no_refresh() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let api = ApiFixture::of(&freehold, &config()).await;
    let tenant = api.sign_up(&signup_body()).await;
    let path =
        |name: &str| format!("/v1/tenants/{}/environments/{name}/residency-proof", tenant["id"].as_str().unwrap());
    let busy = api.post(&path("production")).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    for response in [api.get(&path("unknown")).await, api.post(&path("unknown")).await] {
        assert_eq!(response.status_and_code(), (404, "environment_not_found".into()));
    }
    let unknown = "/v1/tenants/ten_01k2m8v3x9e7rt4s5q6w7y8z9b/environments/production/residency-proof";
    for response in [api.get(unknown).await, api.post(unknown).await] {
        assert_eq!(response.status_and_code(), (404, "tenant_not_found".into()));
    }
}
