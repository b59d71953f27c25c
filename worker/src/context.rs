//! What a step gets to see and may use.

mod journal;
mod polling;
mod quota_slots;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::Residency;
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::operations::Subject;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::step::JournalEntry;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{AwsAccountId, Config};

pub(crate) use polling::{format_duration, late};

use crate::Worker;
use crate::cloud::{Cloud, Tags, Target};
use crate::step::StepError;

/// What a step gets to see and may use.
pub struct StepContext {
    pub(crate) worker: Arc<Worker>,
    pub(crate) claim: Claim,
    pub(crate) step: &'static str,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) subject: Arc<Subject>,
    pub(crate) history: Arc<Vec<JournalEntry>>,
    pub(crate) journal: Arc<Vec<JournalEntry>>,
}

impl StepContext {
    /// Whose environment it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What the operation works on.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What the operator has declared.
    pub fn config(&self) -> &Config {
        &self.worker.config
    }

    /// The cloud.
    pub fn cloud(&self) -> &dyn Cloud {
        &*self.worker.cloud
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.worker.clock.now()
    }

    /// The residency of the environment.
    pub fn residency(&self) -> Result<&Residency, StepError> {
        let name = &self.environment.residency;
        self.config().residency(name).ok_or_else(|| {
            StepError::needs_attention(
                "residency_not_configured",
                format!("The residency `{name}` is no longer in the configuration. Declare it again, then retry."),
            )
        })
    }

    /// The tags that mark what Freehold makes for this environment.
    pub fn tags(&self) -> Tags {
        Tags::from([
            ("freehold:installation".to_owned(), self.worker.installation.to_string()),
            ("freehold:tenant".to_owned(), self.tenant.id.to_string()),
            ("freehold:environment".to_owned(), self.environment.id.to_string()),
        ])
    }

    /// Whether these tags mark something as made for this environment, by this installation.
    pub fn is_ours(&self, tags: &Tags) -> bool {
        ["freehold:installation", "freehold:environment"].iter().all(|key| tags.get(*key) == self.tags().get(*key))
    }

    /// The environment's account, as the target of an act.
    pub fn account(&self) -> Result<Target, StepError> {
        let id: AwsAccountId = self.account_id().ok_or_else(|| {
            // No list lets a step come here without `await-account`; if one did, it must not act on nothing.
            StepError::needs_attention(
                "account_unknown",
                "The journal does not say which account is this environment's.",
            )
        })?;
        Ok(Target::new(id, self.environment.id, &self.config().organization)?)
    }

    /// The id of the environment's account, once that is known for certain.
    pub fn account_id(&self) -> Option<AwsAccountId> {
        self.environment.aws_account_id.clone().or_else(|| self.fact("account_id"))
    }

    /// The environment's account, as the target of an act, if it has one.
    pub fn account_if_any(&self) -> Result<Option<Target>, StepError> {
        self.account_id().map(|_| self.account()).transpose()
    }

    /// How long policies and permissions may take to reach everywhere.
    pub fn propagation(&self) -> TimeDelta {
        seconds_of(self.config().timeouts.propagation_seconds)
    }

    /// How long an environment can be restored.
    pub fn cooling_off(&self) -> TimeDelta {
        seconds_of(self.config().offboarding.cooling_off_seconds)
    }

    /// What was asked for beside the kind of the operation.
    pub fn input_flag(&self, what: &str) -> bool {
        self.subject.input.get(what).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }
}

fn seconds_of(count: u64) -> TimeDelta {
    #[expect(clippy::cast_precision_loss, reason = "deadlines are far below 2^52 seconds")]
    seconds(count as f64)
}
