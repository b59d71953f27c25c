//! Installation with an API, a worker and one tenant, in which a case provokes an attention code.

use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::Rule;
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tenancy::attention::{AttentionCode, Remedy};
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{Config, TenantId};
use freehold_tests::api_fixture::{ApiFixture, signup_body_with};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;
use reqwest::Method;
use serde_json::{Value, json};

use crate::scenarios::create_external_account;
use crate::steps::reconcile::administrator::Administrator;

/// Maximum simulated time of a run; longer than the cooling-off period.
const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(10);

/// Assignment of a case: the code to provoke and the remedy to apply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    pub(super) code: AttentionCode,
    /// Remedy to apply; `None` for the first one that the API offers.
    pub(super) remedy: Option<Remedy>,
}

/// Result of a case that has seen its code and applied a remedy.
#[derive(Debug)]
pub(super) struct Proof {
    /// Remedies that the API offered with the code.
    pub(super) offered: Vec<Remedy>,
    pub(super) applied: Remedy,
}

pub(super) struct Scene {
    pub(super) freehold: Freehold,
    pub(super) api: ApiFixture,
    pub(super) worker: Arc<Worker>,
    probe: Probe,
    /// Id of the tenant; empty before the signup.
    id: String,
    /// Remedies that the API offers with the provoked code; empty before.
    offered: Vec<Remedy>,
}

/// Returns settings in which a new account accepts calls after ten minutes, and all other work finishes immediately.
pub(super) fn slow_new_accounts() -> Settings {
    let durations = Durations { settle: DurationDistribution::constant(600.0), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

/// Returns settings in which each resource of a stack takes a minute, and all other work finishes immediately.
pub(super) fn slow_stacks() -> Settings {
    let durations = Durations { stack_resource: DurationDistribution::constant(60.0), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

impl Scene {
    /// Creates an installation whose simulated AWS finishes all work immediately.
    pub(super) async fn new(probe: Probe) -> Self {
        Self::with(probe, Settings::instant(), CONFIG).await
    }

    /// Creates an installation with these settings and this configuration, but an organisation that is prepared for
    /// [`CONFIG`].
    pub(super) async fn with(probe: Probe, settings: Settings, config: &str) -> Self {
        let freehold = Freehold::with(settings, CONFIG).await.with_config(config);
        let api = ApiFixture::of(&freehold, config).await;
        let worker = freehold.worker("worker-1");
        Self { freehold, api, worker, probe, id: String::new(), offered: Vec::new() }
    }

    pub(super) fn admin(&self) -> Administrator {
        Administrator::of(&self.freehold)
    }

    pub(super) fn inject(&self, rule: Rule) {
        self.freehold.world.inject(rule);
    }

    /// Replaces the configuration of the worker, and restarts the worker.
    pub(super) fn restart_worker(&mut self, config: &str) {
        self.freehold.config = Arc::new(Config::parse(config).expect("a configuration"));
        self.worker = self.freehold.worker("worker-2");
    }

    /// Signs up a tenant in eu-central-1 with the tier `standard`.
    pub(super) async fn sign_up(&mut self) {
        self.sign_up_with(json!({})).await;
    }

    /// Signs up a tenant; `changes` replaces or adds fields of the request.
    pub(super) async fn sign_up_with(&mut self, changes: Value) {
        let tenant = self.api.sign_up(&signup_body_with(changes)).await;
        tenant["id"].as_str().expect("an id").clone_into(&mut self.id);
    }

    /// Signs up a tenant and runs its onboarding until it is ready.
    pub(super) async fn onboard(&mut self, changes: Value) {
        self.sign_up_with(changes).await;
        self.run().await;
        assert_eq!(self.shown().await["state"], "ready", "{:#?}", self.operation().await);
    }

    /// Offboards the tenant and runs the offboarding until it ends or needs attention.
    pub(super) async fn offboard(&self) {
        let response = self.api.delete(&self.path()).await;
        assert_eq!(response.status, 202, "{}", response.text);
        self.run().await;
    }

    /// Runs the worker until no work is scheduled.
    pub(super) async fn run(&self) {
        self.run_for(MAX_SIMULATED_TIME).await;
    }

    /// Runs the worker until no work is scheduled, or for this simulated time.
    pub(super) async fn run_for(&self, at_most: TimeDelta) {
        self.freehold.run_until_idle(&self.worker, at_most).await;
    }

    /// Runs the worker until this step of the tenant's operation is done.
    pub(super) async fn run_until(&self, step: &str) {
        while !self.operation().await["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .any(|one| one["name"] == step && one["state"] == "done")
        {
            self.freehold.run_due_and_advance(&self.worker).await.expect("a wake-up");
        }
    }

    pub(super) fn path(&self) -> String {
        format!("/v1/tenants/{}", self.id)
    }

    /// Returns the tenant as the API shows it.
    pub(super) async fn shown(&self) -> Value {
        self.api.get(&self.path()).await.json()
    }

    /// Returns the tenant from the database.
    pub(super) async fn tenant(&self) -> Tenant {
        let id: TenantId = self.id.parse().expect("a tenant id");
        freehold_tenancy::db::tenants::get(self.freehold.pool(), id).await.expect("a result").expect("the tenant")
    }

    /// Returns the latest operation of the tenant's environment as the API shows it.
    pub(super) async fn operation(&self) -> Value {
        self.api.get(&self.operation_path().await).await.json()
    }

    async fn operation_path(&self) -> String {
        format!("/v1/operations/{}", self.shown().await["environments"][0]["operation_id"].as_str().expect("an id"))
    }

    /// Returns the configured e-mail address of the environment's account.
    pub(super) async fn account_email(&self) -> String {
        let environment = self.tenant().await.environments[0].id;
        self.freehold.config.organization.account_email.address(environment)
    }

    /// Returns the id of the environment's account.
    pub(super) async fn account(&self) -> String {
        let email = self.account_email().await;
        self.freehold.world.account_by_email(&email).expect("the account").id
    }

    /// Asserts that the tenant's operation needs attention with the provoked code, and that the message names a remedy.
    /// Returns the message.
    pub(super) async fn attention(&mut self) -> String {
        let (code, message, offered) = self.shown_attention().await;
        assert_eq!(code, self.probe.code.as_str(), "{message}");
        let names = |remedy: &Remedy| {
            let word = match remedy {
                Remedy::Retry => "etry",
                Remedy::Correct => "another e-mail address",
                Remedy::Adopt => "dopt ",
                Remedy::Approve => "approve",
                Remedy::Cancel => return false,
            };
            message.contains(word)
        };
        assert!(offered.iter().any(names), "{code} names none of {offered:?}: {message}");
        self.offered = offered;
        message
    }

    /// Returns the code, the message and the remedies of the attention that the API shows.
    pub(super) async fn shown_attention(&self) -> (String, String, Vec<Remedy>) {
        let operation = self.operation().await;
        let attention = &operation["attention"];
        assert!(attention.is_object(), "{}: needs no attention: {operation:#}", self.probe.code);
        let text = |field: &str| attention[field].as_str().expect("a text").to_owned();
        let remedies = attention["remedies"].as_array().expect("remedies").iter();
        let remedies = remedies.map(|one| one.as_str().expect("a text").parse().expect("a remedy"));
        (text("code"), text("message"), remedies.collect())
    }

    /// Returns the remedy that this run of the case applies.
    pub(super) fn remedy(&self) -> Remedy {
        self.probe.remedy.unwrap_or(self.offered[0])
    }

    /// Returns whether the cause must be removed first, because the remedy is `retry`.
    pub(super) fn is_retry(&self) -> bool {
        self.remedy() == Remedy::Retry
    }

    /// Removes all injected faults if the remedy is `retry`.
    pub(super) fn clear_faults_before_retry(&self) {
        if self.is_retry() {
            self.freehold.world.clear_faults();
        }
    }

    /// Applies the remedy over the API, and asserts that the operation ends as the remedy promises.
    pub(super) async fn apply(self) -> Proof {
        let remedy = self.remedy();
        assert!(self.offered.contains(&remedy), "{remedy} is not among {:?}", self.offered);
        let proof = Proof { offered: self.offered.clone(), applied: remedy };
        let is_offboarding = self.operation().await["kind"] == "offboard";
        match remedy {
            Remedy::Retry => self.retry().await,
            Remedy::Correct => {
                let body = json!({ "account_email": "aws+corrected@example.com" });
                self.request("retry", &body).await;
                self.approve().await;
            }
            Remedy::Adopt => {
                let account = create_external_account(&self.freehold, "spare").await;
                self.adopt(account.as_str()).await;
            }
            Remedy::Approve => self.approve().await,
            Remedy::Cancel => {
                let response = self.api.post(&format!("{}/cancel", self.operation_path().await)).await;
                assert_eq!(response.status, 202, "{}", response.text);
            }
        }
        self.run().await;
        // A canceled onboarding keeps an environment that is ready already.
        let is_kept = self.tenant().await.environments[0].ready_at.is_some();
        let is_offboarded = is_offboarding || (remedy == Remedy::Cancel && !is_kept);
        let expected = match (is_offboarded, remedy) {
            (true, _) => "offboarded",
            (false, Remedy::Cancel) => "degraded",
            (false, _) => "ready",
        };
        let (code, state) = (self.probe.code, self.shown().await["state"].clone());
        assert_eq!(state, expected, "{remedy} after {code}: {:#}", self.operation().await);
        proof
    }

    /// Retries the operation, and asserts that its old messages are no longer shown.
    pub(super) async fn retry(&self) {
        let response = self.api.post(&format!("{}/retry", self.operation_path().await)).await;
        assert_eq!(response.status, 202, "{}", response.text);
        let operation = self.operation().await;
        assert_eq!(operation["attention"], Value::Null);
        for step in operation["steps"].as_array().expect("steps") {
            assert_eq!((&step["attention"], &step["last_error"]), (&Value::Null, &Value::Null), "{step:#}");
        }
    }

    /// Requests the adoption of an account as one person, and approves it as another.
    /// Tags an account for the environment, as an administrator of the organisation does, and adopts it.
    pub(super) async fn adopt(&self, account: &str) {
        let environment = self.tenant().await.environments[0].id.to_string();
        self.admin().tag_account(account, "freehold:adopt", &environment).await;
        self.adopt_untagged(account).await;
    }

    pub(super) async fn adopt_untagged(&self, account: &str) {
        self.request("adopt", &json!({ "aws_account_id": account })).await;
        self.approve().await;
    }

    async fn request(&self, action: &str, body: &Value) {
        let path = format!("{}/{action}", self.operation_path().await);
        let response = self.api.send_as("ann", Method::POST, &path, body).await;
        assert_eq!(response.status, 202, "{}", response.text);
    }

    async fn approve(&self) {
        let operation = self.operation().await;
        let approvals = operation["approvals"].as_array().expect("approvals").iter();
        let pending = approvals.filter(|one| one["state"] == "pending").collect::<Vec<_>>();
        let body = json!({ "request_hash": pending.first().expect("a pending approval")["request_hash"] });
        let path = format!("{}/approve", self.operation_path().await);
        let response = self.api.send_as("bob", Method::POST, &path, &body).await;
        assert_eq!(response.status, 202, "{}", response.text);
    }

    /// Returns the proof of a code that only `freehold bootstrap` meets.
    pub(super) fn proof_of_bootstrap(self) -> Proof {
        Proof { offered: self.probe.code.remedies().to_vec(), applied: Remedy::Retry }
    }
}
