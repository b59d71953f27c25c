//! Context of a step: its operation, the journal, the services and AWS.

mod attention;
mod database;
mod fleet_holds;
mod journal;
mod polling;
mod quota_slots;
mod template_hold;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::Residency;
use freehold_tenancy::db::fence::Claim;
use freehold_tenancy::db::operations::OperationProperties;
use freehold_tenancy::db::releases;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::operation::OperationKind;
use freehold_tenancy::replica::Replica;
use freehold_tenancy::step::{JournalEntry, StepName};
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{AwsAccountId, Config, InstallationId, OperationId, Region, ReleaseId};
use serde::de::DeserializeOwned;
use tokio::sync::MutexGuard;

pub(crate) use fleet_holds::{CreationPermit, hold_kind};

use crate::account_tags;
use crate::aws::Aws;
use crate::cloud::{Tags, Target};
use crate::services::Services;
use crate::step_outcome::StepError;
use crate::template::{CurrentTemplate, LoadedRelease};

/// Context in which a step accesses its operation, the journal, the services and AWS.
pub struct StepContext {
    services: Arc<Services>,
    claim: Claim,
    step: StepName,
    data: Arc<OperationData>,
    journal: Arc<Vec<JournalEntry>>,
}

/// Database rows that all steps of an operation read. They are loaded once per claim.
pub(crate) struct OperationData {
    pub(crate) tenant: Tenant,
    pub(crate) environment: Environment,
    pub(crate) subject: OperationProperties,
    /// Journal entries of earlier operations on the environment, with the latest entry first.
    pub(crate) history: Vec<JournalEntry>,
}

impl StepContext {
    pub(crate) fn new(
        services: Arc<Services>,
        claim: Claim,
        step: StepName,
        data: Arc<OperationData>,
        journal: Arc<Vec<JournalEntry>>,
    ) -> Self {
        Self { services, claim, step, data, journal }
    }

    pub fn tenant(&self) -> &Tenant {
        &self.data.tenant
    }

    pub fn environment(&self) -> &Environment {
        &self.data.environment
    }

    /// Returns the replica that this step works on, or `None` if the environment no longer has it.
    pub(crate) fn replica(&self) -> Option<&Replica> {
        let (slot, _) = self.step.replica()?;
        self.environment().replicas.iter().find(|replica| replica.slot == slot)
    }

    pub(crate) fn operation_id(&self) -> OperationId {
        self.claim.operation_id
    }

    pub(crate) fn operation_kind(&self) -> OperationKind {
        self.data.subject.kind
    }

    /// Returns whether a second person must approve the account, as decided when the operation was accepted; `None` if
    /// the previous version accepted the operation.
    pub(crate) fn approval_required(&self) -> Option<bool> {
        self.data.subject.approval_required
    }

    pub(crate) fn operation_created_at(&self) -> DateTime<Utc> {
        self.data.subject.created_at
    }

    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.data.subject.traceparent.as_deref()
    }

    pub(crate) fn step_name(&self) -> StepName {
        self.step
    }

    pub(crate) fn installation(&self) -> InstallationId {
        self.services.installation
    }

    pub fn config(&self) -> &Config {
        &self.services.config
    }

    pub fn aws(&self) -> &Aws {
        &self.services.aws
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.services.clock.now()
    }

    /// Returns the template of the tenant stack in a region, as it is in the file now.
    pub(crate) async fn stack_template(&self, region: Region) -> CurrentTemplate {
        self.services.template.current(region).await
    }

    /// Returns the release of the configured templates as they are in the files now, and registers it if it is new.
    pub(crate) async fn configured_release(&self) -> Result<Arc<LoadedRelease>, StepError> {
        let services = &self.services;
        Ok(services.releases.of_configuration(&services.pool, &services.template, self.now()).await?)
    }

    /// Returns the release that new environments get, or `None` if they get the configured templates.
    pub(crate) async fn default_release(&self) -> Result<Option<ReleaseId>, StepError> {
        Ok(releases::default(&self.services.pool).await?)
    }

    /// Returns a release, or `None` if there is none with this id.
    pub(crate) async fn release(&self, id: ReleaseId) -> Result<Option<Arc<LoadedRelease>>, StepError> {
        Ok(self.services.releases.get(&self.services.pool, id).await?)
    }

    /// Locks account requests, so that this worker makes only one account request at a time.
    pub(crate) async fn lock_account_requests(&self) -> MutexGuard<'_, ()> {
        self.services.create_account_lock.lock().await
    }

    /// Returns the configured residency of the environment. If the residency is no longer configured, the operation
    /// needs attention.
    pub fn residency(&self) -> Result<&Residency, StepError> {
        let name = &self.environment().residency;
        self.config().residency(name).ok_or_else(|| {
            StepError::needs_attention(
                AttentionCode::ResidencyNotConfigured,
                format!("The residency `{name}` is no longer in the configuration. Add it again, then retry."),
            )
        })
    }

    /// Returns the tags of resources that Freehold creates for this environment.
    pub fn tags(&self) -> Tags {
        Tags::from([
            (account_tags::INSTALLATION.to_owned(), self.services.installation.to_string()),
            (account_tags::TENANT.to_owned(), self.tenant().id.to_string()),
            (account_tags::ENVIRONMENT.to_owned(), self.environment().id.to_string()),
        ])
    }

    /// Returns the tags of the environment's account. They also contain the details from which the environment can be
    /// recreated.
    pub(crate) fn account_tags(&self) -> Tags {
        let mut tags = account_tags::detail_tags(self.tenant(), self.environment());
        tags.extend(self.tags());
        tags
    }

    /// Returns the tags of the account without the replicas that are leaving. The list of replicas is empty if none
    /// remains, because the tag exists.
    pub(crate) fn account_tags_without_leaving_replicas(&self) -> Tags {
        let mut environment = self.environment().clone();
        environment.replicas.retain(|replica| replica.leaving_at.is_none());
        let mut tags = account_tags::detail_tags(self.tenant(), &environment);
        tags.entry(account_tags::REPLICA_REGIONS.to_owned()).or_default();
        tags.extend(self.tags());
        tags
    }

    /// Returns whether `tags` show that a resource belongs to this environment and this installation.
    pub fn belongs_to_environment(&self, tags: &Tags) -> bool {
        let own = self.tags();
        [account_tags::INSTALLATION, account_tags::ENVIRONMENT].iter().all(|key| tags.get(*key) == own.get(*key))
    }

    /// Returns the environment's account as the target of AWS calls. If the account is unknown, the operation needs
    /// attention.
    pub fn account(&self) -> Result<Target, StepError> {
        let id: AwsAccountId = self.account_id().ok_or_else(|| {
            // Every workflow runs `await-account` before a step that needs the account.
            StepError::needs_attention(
                AttentionCode::AccountUnknown,
                "The journal does not contain the account of this environment. Report this as a defect, have the \
                 journal repaired, then retry.",
            )
        })?;
        Ok(Target::new(id, self.environment().id, &self.config().organization)?)
    }

    /// Returns the id of the environment's account, or `None` until the id is known.
    pub fn account_id(&self) -> Option<AwsAccountId> {
        self.environment().aws_account_id.clone().or_else(|| self.fact("account_id"))
    }

    /// Returns the environment's account as the target of AWS calls, or `None` if the environment has no account.
    pub fn account_if_any(&self) -> Result<Option<Target>, StepError> {
        self.account_id().map(|_| self.account()).transpose()
    }

    /// Returns the time that AWS may need to apply changed policies and permissions everywhere.
    pub fn propagation_time(&self) -> TimeDelta {
        seconds_of(self.config().timeouts.propagation_seconds)
    }

    /// Returns the cooling-off period, during which an environment can be restored.
    pub fn cooling_off_period(&self) -> TimeDelta {
        seconds_of(self.config().offboarding.cooling_off_seconds)
    }

    /// Returns a field of the request that created the operation, or `None` if it is absent or invalid.
    pub fn input_field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.data.subject.input.get(name)?.clone()).ok()
    }

    /// Returns a Boolean option of the request that created the operation, or `false` if the option is absent.
    pub fn input_flag(&self, name: &str) -> bool {
        self.data.subject.input.get(name).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }
}

fn seconds_of(count: u64) -> TimeDelta {
    #[expect(clippy::cast_precision_loss, reason = "deadlines are far below 2^52 seconds")]
    seconds(count as f64)
}
