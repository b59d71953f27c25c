//! The feed: what happened to whom, in one order, in words that callers can rely on.

mod cloud_event;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::event::EventType;
use crate::operation::OperationKind;
use crate::string_enum::string_enum;
use crate::{EnvironmentId, OperationId, TenantId};

pub use cloud_event::{CloudEvent, CloudEventData};

string_enum! {
    /// What an entry of the feed says.
    FeedType {
        /// A signup, or another environment, was accepted.
        OnboardingAccepted = "tenant.onboarding.accepted",
        /// The onboarding waits for a person.
        OnboardingNeedsAttention = "tenant.onboarding.needs_attention",
        /// The onboarding no longer waits for a person.
        OnboardingResumed = "tenant.onboarding.resumed",
        /// The environment is ready.
        OnboardingSucceeded = "tenant.onboarding.succeeded",
        /// The onboarding was given up.
        OnboardingCanceled = "tenant.onboarding.canceled",
        /// An environment is being let go.
        OffboardingAccepted = "tenant.offboarding.accepted",
        /// The offboarding waits for a person.
        OffboardingNeedsAttention = "tenant.offboarding.needs_attention",
        /// The offboarding no longer waits for a person.
        OffboardingResumed = "tenant.offboarding.resumed",
        /// The environment is gone.
        OffboardingSucceeded = "tenant.offboarding.succeeded",
        /// The offboarding was ended by a restore.
        OffboardingCanceled = "tenant.offboarding.canceled",
        /// An environment is being brought back from its cooling-off period.
        RestoringAccepted = "tenant.restoring.accepted",
        /// The restoring waits for a person.
        RestoringNeedsAttention = "tenant.restoring.needs_attention",
        /// The restoring no longer waits for a person.
        RestoringResumed = "tenant.restoring.resumed",
        /// The environment is ready again.
        RestoringSucceeded = "tenant.restoring.succeeded",
        /// The restoring was given up.
        RestoringCanceled = "tenant.restoring.canceled",
        /// An environment is being brought back to what it should be.
        RepairAccepted = "tenant.repair.accepted",
        /// The repair waits for a person.
        RepairNeedsAttention = "tenant.repair.needs_attention",
        /// The repair no longer waits for a person.
        RepairResumed = "tenant.repair.resumed",
        /// The environment is as it should be.
        RepairSucceeded = "tenant.repair.succeeded",
        /// The repair was given up.
        RepairCanceled = "tenant.repair.canceled",
        /// Somebody changed what is known of a tenant.
        TenantUpdated = "tenant.updated",
        /// Somebody asked for something that another person has to approve.
        ApprovalRequested = "operation.approval.requested",
        /// Another person approved it.
        ApprovalGranted = "operation.approval.granted",
        /// Another person rejected it.
        ApprovalRejected = "operation.approval.rejected",
        /// An AWS account is the environment's from now on.
        AccountAssigned = "environment.account.assigned",
        /// The AWS account is no longer the environment's.
        AccountReleased = "environment.account.released",
        /// The environment answers.
        EnvironmentReady = "environment.ready",
        /// The environment is gone.
        EnvironmentOffboarded = "environment.offboarded",
    }
}

/// One entry of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it stands in the feed.
    pub position: i64,
    /// The tenant that it is about.
    pub tenant_id: TenantId,
    /// The operation that it happened to; `None` where it happened to the tenant itself.
    pub operation: Option<OperationEventRef>,
    /// What happened.
    pub feed_type: FeedType,
    /// More of it; no personal data.
    pub data: Value,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

/// Which event of which operation an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationEventRef {
    /// The operation.
    pub operation_id: OperationId,
    /// Which of its events.
    pub seq: i64,
    /// The environment that it works on.
    pub environment_id: EnvironmentId,
}

impl FeedType {
    /// What an event of such an operation is in the feed; `None` where it is none of a caller's business.
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

    /// What its entries tell besides whom they are about.
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

    /// Whether it happens to an operation, and not to a tenant itself.
    pub fn is_of_an_operation(self) -> bool {
        self != Self::TenantUpdated
    }

    /// So much of an event's data as everybody may know: who asked for it, and sentences that may name people, stay behind.
    pub fn data(self, event: &Value) -> Value {
        let told = self.data_fields().iter().filter_map(|name| Some(((*name).to_owned(), event.get(name)?.clone())));
        Value::Object(told.collect::<Map<_, _>>())
    }
}
