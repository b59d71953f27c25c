//! Feed of events: ordered, append-only and with stable event types.

mod cloud_event;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::event::EventType;
use crate::operation::OperationKind;
use crate::string_enum::string_enum;
use crate::{EnvironmentId, OperationId, TenantId};

pub use cloud_event::{FeedEvent, FeedEventData};

string_enum! {
    /// Type of an event in the feed.
    FeedType {
        /// Acceptance of a signup or of an additional environment.
        OnboardingAccepted = "tenant.onboarding.accepted",
        /// Onboarding that needs attention.
        OnboardingNeedsAttention = "tenant.onboarding.needs_attention",
        /// Onboarding that no longer needs attention.
        OnboardingResumed = "tenant.onboarding.resumed",
        /// End of an onboarding: the environment is ready.
        OnboardingSucceeded = "tenant.onboarding.succeeded",
        /// Cancellation of an onboarding.
        OnboardingCanceled = "tenant.onboarding.canceled",
        /// Start of an offboarding.
        OffboardingAccepted = "tenant.offboarding.accepted",
        /// Offboarding that needs attention.
        OffboardingNeedsAttention = "tenant.offboarding.needs_attention",
        /// Offboarding that no longer needs attention.
        OffboardingResumed = "tenant.offboarding.resumed",
        /// End of an offboarding: the environment is offboarded.
        OffboardingSucceeded = "tenant.offboarding.succeeded",
        /// Cancellation of an offboarding by a restore.
        OffboardingCanceled = "tenant.offboarding.canceled",
        /// Start of a restore during the cooling-off period.
        RestoringAccepted = "tenant.restoring.accepted",
        /// Restore that needs attention.
        RestoringNeedsAttention = "tenant.restoring.needs_attention",
        /// Restore that no longer needs attention.
        RestoringResumed = "tenant.restoring.resumed",
        /// End of a restore: the environment is ready again.
        RestoringSucceeded = "tenant.restoring.succeeded",
        /// Cancellation of a restore.
        RestoringCanceled = "tenant.restoring.canceled",
        /// Start of a repair.
        RepairAccepted = "tenant.repair.accepted",
        /// Repair that needs attention.
        RepairNeedsAttention = "tenant.repair.needs_attention",
        /// Repair that no longer needs attention.
        RepairResumed = "tenant.repair.resumed",
        /// End of a repair: the environment is as configured.
        RepairSucceeded = "tenant.repair.succeeded",
        /// Cancellation of a repair.
        RepairCanceled = "tenant.repair.canceled",
        /// Change of the fields of a tenant.
        TenantUpdated = "tenant.updated",
        /// Request that a second person must approve.
        ApprovalRequested = "operation.approval.requested",
        /// Approval by a second person.
        ApprovalGranted = "operation.approval.granted",
        /// Rejection by a second person.
        ApprovalRejected = "operation.approval.rejected",
        /// Start of an account mapping.
        AccountAssigned = "environment.account.assigned",
        /// End of an account mapping.
        AccountReleased = "environment.account.released",
        /// Environment that is verified and ready.
        EnvironmentReady = "environment.ready",
        /// Environment that is offboarded.
        EnvironmentOffboarded = "environment.offboarded",
    }
}

/// Event of the feed with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub position: i64,
    pub tenant_id: TenantId,
    /// Operation of the event; `None` for an event of the tenant itself.
    pub operation: Option<OperationEventRef>,
    pub feed_type: FeedType,
    /// Fields of the event type, without personal data.
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
}

/// Reference to one event of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationEventRef {
    pub operation_id: OperationId,
    /// Number of the event within the operation.
    pub seq: i64,
    pub environment_id: EnvironmentId,
}

impl FeedType {
    /// Returns the feed type of an operation event, or `None` if the event is internal.
    pub fn of(kind: OperationKind, event: EventType) -> Option<Self> {
        use EventType as E;
        let by_kind = |onboard, offboard, restore, repair| match kind {
            OperationKind::Onboard => onboard,
            OperationKind::Offboard => offboard,
            OperationKind::Restore => restore,
            OperationKind::Repair => repair,
        };
        Some(match event {
            E::OperationAccepted => by_kind(
                Self::OnboardingAccepted,
                Self::OffboardingAccepted,
                Self::RestoringAccepted,
                Self::RepairAccepted,
            ),
            E::OperationNeedsAttention => by_kind(
                Self::OnboardingNeedsAttention,
                Self::OffboardingNeedsAttention,
                Self::RestoringNeedsAttention,
                Self::RepairNeedsAttention,
            ),
            E::OperationRecovered | E::OperationRetried => {
                by_kind(Self::OnboardingResumed, Self::OffboardingResumed, Self::RestoringResumed, Self::RepairResumed)
            }
            E::OperationSucceeded => by_kind(
                Self::OnboardingSucceeded,
                Self::OffboardingSucceeded,
                Self::RestoringSucceeded,
                Self::RepairSucceeded,
            ),
            E::OperationCanceled => by_kind(
                Self::OnboardingCanceled,
                Self::OffboardingCanceled,
                Self::RestoringCanceled,
                Self::RepairCanceled,
            ),
            E::ApprovalRequested => Self::ApprovalRequested,
            E::ApprovalGranted => Self::ApprovalGranted,
            E::ApprovalRejected => Self::ApprovalRejected,
            E::AccountAssigned => Self::AccountAssigned,
            E::AccountReleased => Self::AccountReleased,
            E::EnvironmentReady => Self::EnvironmentReady,
            E::EnvironmentOffboarded => Self::EnvironmentOffboarded,
            E::OperationStarted | E::StepStarted | E::StepWaiting | E::StepRetrying | E::StepSucceeded => return None,
        })
    }

    /// Returns the names of the fields that `data` has in addition to the ids.
    pub fn data_fields(self) -> &'static [&'static str] {
        match self {
            Self::OnboardingNeedsAttention
            | Self::OffboardingNeedsAttention
            | Self::RestoringNeedsAttention
            | Self::RepairNeedsAttention => &["code"],
            Self::ApprovalRequested | Self::ApprovalGranted | Self::ApprovalRejected => &["action"],
            Self::AccountAssigned | Self::AccountReleased => &["aws_account_id"],
            Self::TenantUpdated => &["changed"],
            _ => &[],
        }
    }

    /// Returns false for events of the tenant itself.
    pub fn is_of_an_operation(self) -> bool {
        self != Self::TenantUpdated
    }

    /// Returns the public fields of an event's data. Requesters and messages are left out, because they may name
    /// people.
    pub fn data(self, event: &Value) -> Value {
        let fields = self.data_fields().iter().filter_map(|name| Some(((*name).to_owned(), event.get(name)?.clone())));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}
