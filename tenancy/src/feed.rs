//! Event feed: an ordered, append-only list of events with stable event types.

mod cloud_event;
mod event_names;
mod operation_events;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::string_enum::string_enum_with_sentences;
use crate::{EnvironmentId, OperationId, TenantId};

pub use cloud_event::{FeedEvent, FeedEventData, TEST_EVENT_TYPE};
pub use event_names::EventNames;

string_enum_with_sentences! {
    /// Type of an event in the feed.
    FeedType {
        /// A signup or a request for an additional environment was accepted.
        OnboardingAccepted = "tenant.onboarding.accepted",
        /// An onboarding needs attention.
        OnboardingNeedsAttention = "tenant.onboarding.needs_attention",
        /// An onboarding no longer needs attention.
        OnboardingResumed = "tenant.onboarding.resumed",
        /// An onboarding has succeeded: the environment is ready.
        OnboardingSucceeded = "tenant.onboarding.succeeded",
        /// An onboarding was cancelled.
        OnboardingCanceled = "tenant.onboarding.canceled",
        /// An offboarding was accepted.
        OffboardingAccepted = "tenant.offboarding.accepted",
        /// An offboarding needs attention.
        OffboardingNeedsAttention = "tenant.offboarding.needs_attention",
        /// An offboarding no longer needs attention.
        OffboardingResumed = "tenant.offboarding.resumed",
        /// An offboarding has succeeded: the environment is offboarded.
        OffboardingSucceeded = "tenant.offboarding.succeeded",
        /// An offboarding was cancelled by a restore.
        OffboardingCanceled = "tenant.offboarding.canceled",
        /// A restore during the cooling-off period was accepted.
        RestoringAccepted = "tenant.restoring.accepted",
        /// A restore needs attention.
        RestoringNeedsAttention = "tenant.restoring.needs_attention",
        /// A restore no longer needs attention.
        RestoringResumed = "tenant.restoring.resumed",
        /// A restore has succeeded: the environment is ready again.
        RestoringSucceeded = "tenant.restoring.succeeded",
        /// A restore was cancelled.
        RestoringCanceled = "tenant.restoring.canceled",
        /// A repair was accepted.
        RepairAccepted = "tenant.repair.accepted",
        /// A repair needs attention.
        RepairNeedsAttention = "tenant.repair.needs_attention",
        /// A repair no longer needs attention.
        RepairResumed = "tenant.repair.resumed",
        /// A repair has succeeded: the environment matches the configuration again.
        RepairSucceeded = "tenant.repair.succeeded",
        /// A repair was cancelled.
        RepairCanceled = "tenant.repair.canceled",
        /// Fields of a tenant were changed.
        TenantUpdated = "tenant.updated",
        /// A request needs the approval of a second person.
        ApprovalRequested = "operation.approval.requested",
        /// A second person approved a request.
        ApprovalGranted = "operation.approval.granted",
        /// A request was rejected or withdrawn.
        ApprovalRejected = "operation.approval.rejected",
        /// An AWS account was mapped to an environment.
        AccountAssigned = "environment.account.assigned",
        /// The mapping of an AWS account to an environment has ended.
        AccountReleased = "environment.account.released",
        /// An environment is verified and ready.
        EnvironmentReady = "environment.ready",
        /// An environment is offboarded.
        EnvironmentOffboarded = "environment.offboarded",
        /// An upgrade of the baseline was accepted.
        BaselineUpgradeAccepted = "tenant.baseline_upgrade.accepted",
        /// An upgrade of the baseline needs attention.
        BaselineUpgradeNeedsAttention = "tenant.baseline_upgrade.needs_attention",
        /// An upgrade of the baseline no longer needs attention.
        BaselineUpgradeResumed = "tenant.baseline_upgrade.resumed",
        /// An upgrade of the baseline has succeeded.
        BaselineUpgradeSucceeded = "tenant.baseline_upgrade.succeeded",
        /// An upgrade of the baseline has failed; the environment continues with its earlier baseline.
        BaselineUpgradeFailed = "tenant.baseline_upgrade.failed",
        /// An upgrade of the baseline was cancelled.
        BaselineUpgradeCanceled = "tenant.baseline_upgrade.canceled",
        /// A critical finding about a verified environment is open, or one of its replicas has failed.
        EnvironmentDegraded = "environment.degraded",
        /// No critical finding about the environment is open any more, and no replica has failed.
        EnvironmentRecovered = "environment.recovered",
        /// A finding about an environment was opened.
        FindingOpened = "environment.finding.opened",
        /// A finding about an environment was resolved.
        FindingResolved = "environment.finding.resolved",
        /// A suspension was accepted.
        SuspensionAccepted = "tenant.suspension.accepted",
        /// A suspension needs attention.
        SuspensionNeedsAttention = "tenant.suspension.needs_attention",
        /// A suspension no longer needs attention.
        SuspensionResumed = "tenant.suspension.resumed",
        /// A suspension has succeeded.
        SuspensionSucceeded = "tenant.suspension.succeeded",
        /// A suspension in progress was cancelled, because the tenant was resumed or offboarded.
        SuspensionCanceled = "tenant.suspension.canceled",
        /// The end of a suspension was accepted.
        ResumptionAccepted = "tenant.resumption.accepted",
        /// The end of a suspension needs attention.
        ResumptionNeedsAttention = "tenant.resumption.needs_attention",
        /// The end of a suspension no longer needs attention.
        ResumptionResumed = "tenant.resumption.resumed",
        /// The end of a suspension has succeeded: the environment is ready again.
        ResumptionSucceeded = "tenant.resumption.succeeded",
        /// The end of a suspension was cancelled, because the tenant was suspended or offboarded.
        ResumptionCanceled = "tenant.resumption.canceled",
        /// An environment is suspended.
        EnvironmentSuspended = "environment.suspended",
        /// An environment is no longer suspended, and ready again.
        EnvironmentResumed = "environment.resumed",
        /// A change of the regions of an environment was accepted.
        RegionChangeAccepted = "tenant.region_change.accepted",
        /// A change of the regions of an environment needs attention.
        RegionChangeNeedsAttention = "tenant.region_change.needs_attention",
        /// A change of the regions of an environment no longer needs attention.
        RegionChangeResumed = "tenant.region_change.resumed",
        /// A change of the regions of an environment has succeeded.
        RegionChangeSucceeded = "tenant.region_change.succeeded",
        /// A change of the regions of an environment has failed; the environment continues to serve.
        RegionChangeFailed = "tenant.region_change.failed",
        /// A change of the regions of an environment was cancelled.
        RegionChangeCanceled = "tenant.region_change.canceled",
        /// A refresh of a residency proof was accepted.
        ResidencyProofAccepted = "tenant.residency_proof.accepted",
        /// A refresh of a residency proof needs attention.
        ResidencyProofNeedsAttention = "tenant.residency_proof.needs_attention",
        /// A refresh of a residency proof no longer needs attention.
        ResidencyProofResumed = "tenant.residency_proof.resumed",
        /// A residency proof was written.
        ResidencyProofSucceeded = "tenant.residency_proof.succeeded",
        /// A residency proof could not be written; an earlier proof stays.
        ResidencyProofFailed = "tenant.residency_proof.failed",
        /// A refresh of a residency proof was cancelled, because the tenant was suspended or offboarded.
        ResidencyProofCanceled = "tenant.residency_proof.canceled",
        /// An update of an environment to a release was accepted.
        UpdateAccepted = "tenant.update.accepted",
        /// An update of an environment needs attention.
        UpdateNeedsAttention = "tenant.update.needs_attention",
        /// An update of an environment no longer needs attention.
        UpdateResumed = "tenant.update.resumed",
        /// An update of an environment has succeeded.
        UpdateSucceeded = "tenant.update.succeeded",
        /// An update of an environment has failed; the environment continues with the release before.
        UpdateFailed = "tenant.update.failed",
        /// An update of an environment was cancelled.
        UpdateCanceled = "tenant.update.canceled",
        /// A replica of an environment is verified and ready.
        RegionReady = "environment.region.ready",
        /// A replica of an environment needs a person, or AWS does not answer in its region.
        RegionFailed = "environment.region.failed",
        /// A replica of an environment has become its home.
        HomeMoved = "environment.home_moved",
        /// The front door of an environment is verified.
        FrontDoorDeployed = "environment.front_door.deployed",
        /// The front door of an environment needs a person.
        FrontDoorFailed = "environment.front_door.failed",
        /// A change of a tenant needs the approval of a second person.
        TenantApprovalRequested = "tenant.approval.requested",
        /// A second person approved a change of a tenant, which is applied.
        TenantApprovalGranted = "tenant.approval.granted",
        /// A change of a tenant was rejected or withdrawn.
        TenantApprovalRejected = "tenant.approval.rejected",
        /// An environment keeps its release.
        EnvironmentPinned = "environment.pinned",
        /// The release of an environment may change again.
        EnvironmentUnpinned = "environment.unpinned",
        /// A release has passed its check.
        ReleaseReady = "release.ready",
        /// A release has not passed its check.
        ReleaseRefused = "release.refused",
        /// A second person approved a release.
        ReleaseApproved = "release.approved",
        /// A rollout was created and starts.
        RolloutStarted = "rollout.started",
        /// The next wave of a rollout needs the approval of a second person.
        RolloutAwaitingApproval = "rollout.awaiting_approval",
        /// The next wave of a rollout is approved.
        RolloutApproved = "rollout.approved",
        /// A rollout was paused.
        RolloutPaused = "rollout.paused",
        /// A rollout continues.
        RolloutResumed = "rollout.resumed",
        /// A rollout has stopped, because too many updates have failed or a wave was rejected.
        RolloutHalted = "rollout.halted",
        /// A rollout was aborted; the updated environments keep the release.
        RolloutAborted = "rollout.aborted",
        /// The environments of a rollout go back to their previous releases.
        RolloutRollingBack = "rollout.rolling_back",
        /// The environments of a rollout are back at their previous releases.
        RolloutRolledBack = "rollout.rolled_back",
        /// A rollout has succeeded.
        RolloutSucceeded = "rollout.succeeded",
        /// A wave of a rollout has started.
        RolloutWaveStarted = "rollout.wave.started",
        /// A wave of a rollout has finished, including its bake.
        RolloutWaveFinished = "rollout.wave.finished",
        /// A change freeze was set: no update starts in any environment.
        ChangeFreezeStarted = "change_freeze.started",
        /// A person ended a change freeze.
        ChangeFreezeEnded = "change_freeze.ended",
    }
}

/// Event of the feed with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub position: i64,
    /// Tenant of the event; `None` for an event of the fleet, which only readers with access to every tenant see.
    pub tenant_id: Option<TenantId>,
    /// Environment of the event; `None` for an event about the tenant itself, and for an event of the fleet.
    pub environment_id: Option<EnvironmentId>,
    /// Operation event that is published; `None` for an event of the fleet, of the tenant or of an environment itself.
    pub operation: Option<OperationEventRef>,
    pub feed_type: FeedType,
    /// Names of tenant and environment, and fields that depend on the event type, without personal data.
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
}

/// Reference to one event of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationEventRef {
    pub operation_id: OperationId,
    /// Sequence number of the event within the operation.
    pub seq: i64,
}

impl FeedType {
    /// Returns the names of the fields that `data` has in addition to the ids.
    pub fn data_fields(self) -> &'static [&'static str] {
        match self {
            Self::OnboardingNeedsAttention
            | Self::OffboardingNeedsAttention
            | Self::RestoringNeedsAttention
            | Self::RepairNeedsAttention
            | Self::BaselineUpgradeNeedsAttention
            | Self::BaselineUpgradeFailed
            | Self::SuspensionNeedsAttention
            | Self::ResumptionNeedsAttention
            | Self::RegionChangeNeedsAttention
            | Self::RegionChangeFailed
            | Self::ResidencyProofNeedsAttention
            | Self::ResidencyProofFailed
            | Self::UpdateNeedsAttention
            | Self::UpdateFailed => &["code"],
            Self::TenantApprovalRequested | Self::TenantApprovalGranted | Self::TenantApprovalRejected => {
                &["action", "approval_id"]
            }
            Self::EnvironmentSuspended => &["reason"],
            Self::RegionReady | Self::RegionFailed => &["region"],
            Self::HomeMoved => &["from", "to"],
            Self::ApprovalRequested | Self::ApprovalGranted | Self::ApprovalRejected => &["action"],
            Self::AccountAssigned | Self::AccountReleased => &["aws_account_id"],
            Self::TenantUpdated => &["changed"],
            Self::FindingOpened | Self::FindingResolved => &["finding_id", "kind", "severity"],
            Self::ReleaseReady | Self::ReleaseRefused | Self::ReleaseApproved => &["release_id"],
            Self::RolloutAwaitingApproval
            | Self::RolloutApproved
            | Self::RolloutWaveStarted
            | Self::RolloutWaveFinished => &["rollout_id", "release_id", "wave"],
            Self::RolloutStarted
            | Self::RolloutPaused
            | Self::RolloutResumed
            | Self::RolloutHalted
            | Self::RolloutAborted
            | Self::RolloutRollingBack
            | Self::RolloutRolledBack
            | Self::RolloutSucceeded => &["rollout_id", "release_id"],
            _ => &[],
        }
    }

    /// Returns the names of the ids of tenant, environment and operation that `data` has.
    pub fn id_fields(self) -> &'static [&'static str] {
        match self {
            _ if self.is_of_fleet() => &[],
            Self::TenantUpdated
            | Self::TenantApprovalRequested
            | Self::TenantApprovalGranted
            | Self::TenantApprovalRejected => &["tenant_id"],
            Self::EnvironmentDegraded
            | Self::EnvironmentRecovered
            | Self::EnvironmentPinned
            | Self::EnvironmentUnpinned
            | Self::FindingOpened
            | Self::FindingResolved => &["tenant_id", "environment_id"],
            _ => &["tenant_id", "environment_id", "operation_id"],
        }
    }

    /// Returns whether an event of this type belongs to no tenant.
    pub fn is_of_fleet(self) -> bool {
        matches!(
            self,
            Self::ReleaseReady
                | Self::ReleaseRefused
                | Self::ReleaseApproved
                | Self::RolloutStarted
                | Self::RolloutAwaitingApproval
                | Self::RolloutApproved
                | Self::RolloutPaused
                | Self::RolloutResumed
                | Self::RolloutHalted
                | Self::RolloutAborted
                | Self::RolloutRollingBack
                | Self::RolloutRolledBack
                | Self::RolloutSucceeded
                | Self::RolloutWaveStarted
                | Self::RolloutWaveFinished
                | Self::ChangeFreezeStarted
                | Self::ChangeFreezeEnded
        )
    }

    /// Returns the public fields of the data of an event. Requesters and messages are removed, because they may
    /// contain names of people.
    pub fn data(self, event: &Value) -> Value {
        let fields = self.data_fields().iter().filter_map(|name| Some(((*name).to_owned(), event.get(name)?.clone())));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}
