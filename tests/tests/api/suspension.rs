//! Tests of suspensions: the tokens that can suspend and resume a tenant, and the requests that cannot undo a
//! suspension or an offboarding.

use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::{lifecycle, operations};
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, ApiResponse, send, signup_body};
use reqwest::Method;
use serde_json::{Value, json};

/// Caller of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Operator,
    /// Operator without the scopes `tenants:suspend` and `legal-holds:lift`.
    Support,
    Tenant,
    OtherTenant,
}

const CALLERS: [Who; 4] = [Who::Operator, Who::Support, Who::Tenant, Who::OtherTenant];

/// State of a tenant before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Onboarding,
    Ready,
    Suspending,
    Suspended,
    /// Suspended while its account was not requested yet.
    SuspendedOnboarding,
    Resuming,
    OffboardedByOperator,
    OffboardedByTenant,
    /// Suspended, then offboarded by a token of the tenant.
    SuspendedThenOffboarded,
    Gone,
}

const STATES: [State; 10] = [
    State::Onboarding,
    State::Ready,
    State::Suspending,
    State::Suspended,
    State::SuspendedOnboarding,
    State::Resuming,
    State::OffboardedByOperator,
    State::OffboardedByTenant,
    State::SuspendedThenOffboarded,
    State::Gone,
];

struct Scene {
    api: ApiFixture,
    other: Value,
    cases: u32,
}

impl Scene {
    async fn new() -> Self {
        let api = ApiFixture::with_config("requests_per_minute = 0\naccounts_per_day = 0").await;
        let other = api.sign_up(&signup_body()).await;
        let scene = Self { api, other, cases: 0 };
        scene.put_aside().await;
        scene
    }

    /// Takes all open operations out of the queue, so that the next case finds only its own.
    async fn put_aside(&self) {
        let pool = &self.api.database.pool;
        sqlx::query(
            "update operations set wake_at = wake_at + interval '1 year' where wake_at < now() + interval '1 day'",
        )
        .execute(pool)
        .await
        .unwrap();
    }

    /// Completes all due operations without AWS.
    async fn succeed_due(&self, account: &str) {
        let (pool, now) = (&self.api.database.pool, self.api.clock.now());
        if !account.is_empty() {
            return self.api.succeed_operation(account).await;
        }
        let lease = chrono::TimeDelta::minutes(1);
        let claims: Vec<Claim> = operations::claim(pool, "tests", now, lease, 10).await.unwrap();
        assert!(!claims.is_empty(), "nothing is due");
        for claim in claims {
            assert!(lifecycle::succeed(pool, &claim, now).await.unwrap());
        }
    }

    async fn send(&self, who: Who, tenant: &Value, method: Method, path: &str, body: &Value) -> ApiResponse {
        let path = format!("/v1/tenants/{}{path}", tenant["id"].as_str().unwrap());
        let less = ALL_SCOPES.replace("tenants:suspend legal-holds:lift ", "");
        let token = match who {
            Who::Operator => self.api.issuer.token(ALL_SCOPES),
            Who::Support => self.api.issuer.token(&less),
            Who::Tenant => self.api.issuer.token_with(ALL_SCOPES, &json!({ "tenant_id": tenant["id"] })),
            Who::OtherTenant => self.api.issuer.token_with(ALL_SCOPES, &json!({ "tenant_id": self.other["id"] })),
        };
        let request = self.api.request_without_token(method, &path).bearer_auth(token);
        let request = request.header("Idempotency-Key", uuid::Uuid::now_v7().to_string());
        send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Returns a tenant in this state.
    async fn tenant(&mut self, state: State) -> Value {
        self.cases += 1;
        let account = format!("{:012}", 100_000_000_000_u64 + u64::from(self.cases));
        let tenant = self.api.sign_up(&signup_body()).await;
        if !matches!(state, State::Onboarding | State::SuspendedOnboarding | State::Gone) {
            self.succeed_due(&account).await;
        }
        let operator = async |method: Method, path: &str, body: Value| {
            let response = self.send(Who::Operator, &tenant, method, path, &body).await;
            assert_eq!(response.status, 202, "{state:?} {path}: {}", response.text);
        };
        let suspend = json!({ "reason": "abuse", "note": "Report 4711" });
        match state {
            State::Onboarding | State::Ready => {}
            State::Suspending => operator(Method::POST, "/suspend", suspend).await,
            State::Suspended | State::SuspendedOnboarding => {
                operator(Method::POST, "/suspend", suspend).await;
                self.succeed_due("").await;
            }
            State::Resuming => {
                operator(Method::POST, "/suspend", suspend).await;
                self.succeed_due("").await;
                operator(Method::POST, "/resume", json!({ "reason": "Settled." })).await;
            }
            State::OffboardedByOperator | State::Gone => operator(Method::DELETE, "", Value::Null).await,
            State::OffboardedByTenant => {
                assert_eq!(self.send(Who::Tenant, &tenant, Method::DELETE, "", &Value::Null).await.status, 202);
            }
            State::SuspendedThenOffboarded => {
                operator(Method::POST, "/suspend", suspend).await;
                self.succeed_due("").await;
                assert_eq!(self.send(Who::Tenant, &tenant, Method::DELETE, "", &Value::Null).await.status, 202);
            }
        }
        tenant
    }

    async fn state_of(&self, tenant: &Value) -> String {
        let tenant = self.api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
        tenant["state"].as_str().unwrap().to_owned()
    }
}

/// Returns the expected status and problem code.
fn expected(route: &str, state: State, who: Who) -> (u16, &'static str) {
    use State as S;
    let is_suspended =
        matches!(state, S::Suspending | S::Suspended | S::SuspendedOnboarding | S::SuspendedThenOffboarded);
    match (route, who) {
        ("suspend" | "resume", Who::Support | Who::Tenant | Who::OtherTenant) => (403, "insufficient_scope"),
        (_, Who::OtherTenant) => (404, "tenant_not_found"),
        ("suspend" | "environment", _) if state == S::Gone => (409, "tenant_offboarded"),
        ("restore" | "environment", _) if is_suspended => (409, "tenant_suspended"),
        ("restore" | "environment", Who::Tenant) if state == S::OffboardedByOperator => (403, "started_by_operator"),
        ("restore", _) if matches!(state, S::OffboardedByOperator | S::OffboardedByTenant) => (202, ""),
        ("restore", _) => (409, "not_restorable"),
        ("suspend" | "resume" | "environment", _) => (202, ""),
        _ => unreachable!("{route}"),
    }
}

#[tokio::test]
async fn each_route_keeps_what_an_operator_has_suspended() {
    let mut scene = Scene::new().await;
    let mut cases = 0;
    for state in STATES {
        for who in CALLERS {
            for (route, path, body) in [
                ("suspend", "/suspend", json!({ "reason": "abuse", "note": "Report 4711" })),
                ("resume", "/resume", json!({ "reason": "Settled." })),
                ("restore", "/restore", Value::Null),
                ("restore", "/environments/production/restore", Value::Null),
                ("environment", "/environments", json!({ "name": "staging" })),
            ] {
                let tenant = scene.tenant(state).await;
                let before = scene.state_of(&tenant).await;
                let response = scene.send(who, &tenant, Method::POST, path, &body).await;
                let (status, code) = expected(route, state, who);
                assert_eq!(
                    response.status_and_code(),
                    (status, code.to_owned()),
                    "{who:?} {path} in {state:?}: {}",
                    response.text
                );
                if status != 202 {
                    assert_eq!(scene.state_of(&tenant).await, before, "{who:?} {path} in {state:?}");
                }
                scene.put_aside().await;
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 200);
}

#[tokio::test]
async fn a_suspension_is_shown_with_its_reason_and_can_be_repeated() {
    let mut scene = Scene::new().await;
    let tenant = scene.tenant(State::Ready).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let read = scene.api.get(&path).await;
    assert_eq!(read.json()["suspension"], Value::Null);
    let suspend = async |tag: &str, body: Value| {
        send(scene.api.request(Method::POST, &format!("{path}/suspend")).header("If-Match", tag).json(&body)).await
    };
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": "bored" }), "reason"),
        (json!({ "reason": "other" }), "note"),
        (json!({ "reason": "abuse", "note": "" }), "note"),
        (json!({ "reason": "abuse", "until": "tomorrow" }), "until"),
    ] {
        let refused = suspend("*", body.clone()).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["field"]), (422, &json!(field)), "{body}");
    }
    let outdated = suspend("\"0\"", json!({ "reason": "non_payment" })).await;
    assert_eq!(outdated.status_and_code(), (412, "precondition_failed".into()));
    let suspended = suspend(read.header("etag"), json!({ "reason": "non_payment" })).await;
    assert_eq!(suspended.status, 202, "{}", suspended.text);
    let suspended = suspended.json();
    assert_eq!(
        (&suspended["state"], &suspended["environments"][0]["state"]),
        (&json!("suspended"), &json!("suspended"))
    );
    assert_eq!(
        (&suspended["suspension"]["reason"], &suspended["suspension"]["note"]),
        (&json!("non_payment"), &Value::Null)
    );
    let list = scene.api.get("/v1/tenants?state=suspended").await.json();
    assert_eq!(list["tenants"][0]["id"], tenant["id"]);

    let again = suspend("*", json!({ "reason": "non_payment" })).await.json();
    assert_eq!(again, suspended, "a repetition changed something");
    let other = suspend("*", json!({ "reason": "other", "note": "See ticket 4711." })).await.json();
    assert_eq!(other["suspension"]["note"], "See ticket 4711.");
    assert_eq!(other["suspension"]["since"], suspended["suspension"]["since"]);
    assert_eq!(other["environments"][0]["operation_id"], suspended["environments"][0]["operation_id"]);
    scene.succeed_due("").await;

    let upgrade = scene.api.post(&format!("{path}/environments/production/baseline-upgrades")).await;
    assert_eq!(upgrade.status_and_code(), (409, "environment_not_ready".into()));
    assert!(upgrade.json()["detail"].as_str().unwrap().contains("is suspended"), "{}", upgrade.text);
    let resume = json!({ "reason": "Invoice 4711 is paid." });
    let resumed = scene.send(Who::Operator, &tenant, Method::POST, "/resume", &resume).await.json();
    assert_eq!((&resumed["state"], &resumed["suspension"]), (&json!("restoring"), &Value::Null));
    scene.succeed_due("").await;
    assert_eq!(scene.state_of(&tenant).await, "ready");
    let again = scene.send(Who::Operator, &tenant, Method::POST, "/resume", &resume).await;
    assert_eq!((again.status.as_u16(), &again.json()["state"]), (202, &json!("ready")), "a repetition");

    let events = scene.api.get(&format!("/v1/events?after=0&tenant={}", tenant["id"].as_str().unwrap())).await.json();
    let events = events["events"].as_array().unwrap();
    for (kind, reason) in [("environment.suspended", json!("non_payment")), ("environment.resumed", Value::Null)] {
        let event = events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("{kind}: {events:?}"));
        assert_eq!(event["data"]["reason"], reason);
    }
    let unknown = json!({ "id": "ten_01k2m8v3x9e7rt4s5q6w7y8z9b" });
    for (action, body) in [("/suspend", json!({ "reason": "abuse" })), ("/resume", resume)] {
        let missing = scene.send(Who::Operator, &unknown, Method::POST, action, &body).await;
        assert_eq!(missing.status_and_code(), (404, "tenant_not_found".into()));
    }
}

#[tokio::test]
async fn an_interrupted_onboarding_is_resumed_only_when_its_account_is_known() {
    let mut scene = Scene::new().await;
    let tenant = scene.tenant(State::Onboarding).await;
    let suspend = json!({ "reason": "abuse" });
    assert_eq!(scene.send(Who::Operator, &tenant, Method::POST, "/suspend", &suspend).await.status, 202);
    let resume = json!({ "reason": "Settled." });
    let busy = scene.send(Who::Operator, &tenant, Method::POST, "/resume", &resume).await;
    assert_eq!(busy.status_and_code(), (409, "operation_in_progress".into()));
    assert_eq!(scene.state_of(&tenant).await, "suspended");
    scene.succeed_due("").await;
    let resumed = scene.send(Who::Operator, &tenant, Method::POST, "/resume", &resume).await;
    assert_eq!((resumed.status.as_u16(), &resumed.json()["state"]), (202, &json!("onboarding")));
}

#[tokio::test]
async fn an_operator_takes_over_the_offboarding_of_a_tenant() {
    let mut scene = Scene::new().await;
    let restore = async |scene: &Scene, tenant: &Value, who: Who| {
        scene.send(who, tenant, Method::POST, "/restore", &Value::Null).await.status_and_code()
    };
    // The tenant does not take over the offboarding of an operator.
    let tenant = scene.tenant(State::OffboardedByOperator).await;
    assert_eq!(scene.send(Who::Tenant, &tenant, Method::DELETE, "", &Value::Null).await.status, 202);
    assert_eq!(restore(&scene, &tenant, Who::Tenant).await, (403, "started_by_operator".into()));
    scene.put_aside().await;
    let tenant = scene.tenant(State::OffboardedByTenant).await;
    assert_eq!(scene.send(Who::Operator, &tenant, Method::DELETE, "", &Value::Null).await.status, 202);
    assert_eq!(restore(&scene, &tenant, Who::Tenant).await, (403, "started_by_operator".into()));
    assert_eq!(restore(&scene, &tenant, Who::Support).await, (202, String::new()));
    scene.put_aside().await;

    // An offboarding from suspended can be restored after the tenant was resumed.
    let tenant = scene.tenant(State::SuspendedThenOffboarded).await;
    let resumed = scene.send(Who::Operator, &tenant, Method::POST, "/resume", &json!({ "reason": "Paid." })).await;
    assert_eq!((resumed.status.as_u16(), &resumed.json()["state"]), (202, &json!("offboarding")));
    assert_eq!(restore(&scene, &tenant, Who::Tenant).await, (202, String::new()));
}

#[tokio::test]
async fn a_legal_hold_is_lifted_only_with_the_scope_for_it() {
    let mut scene = Scene::new().await;
    let tenant = scene.tenant(State::Ready).await;
    let hold = json!({ "reason": "Case 4711" });
    assert_eq!(scene.send(Who::Support, &tenant, Method::PUT, "/legal-hold", &hold).await.status, 200);
    for who in [Who::Support, Who::Tenant, Who::OtherTenant] {
        let refused = scene.send(who, &tenant, Method::DELETE, "/legal-hold", &Value::Null).await;
        assert_eq!(refused.status_and_code(), (403, "insufficient_scope".into()), "{who:?}");
    }
    let suspended = scene.send(Who::Operator, &tenant, Method::POST, "/suspend", &json!({ "reason": "abuse" })).await;
    assert_eq!(suspended.json()["legal_hold"], "Case 4711");
    let lifted = scene.send(Who::Operator, &tenant, Method::DELETE, "/legal-hold", &Value::Null).await;
    assert_eq!((lifted.status.as_u16(), &lifted.json()["legal_hold"]), (200, &Value::Null));
}
