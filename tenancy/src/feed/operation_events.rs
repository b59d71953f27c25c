//! Feed types of the events of operations.

use super::FeedType;
use crate::event::EventType;
use crate::operation::OperationKind;

impl FeedType {
    /// Returns the feed type of an operation event, or `None` for an internal event that is not published.
    pub fn of(kind: OperationKind, event: EventType) -> Option<Self> {
        use EventType as E;
        if kind == OperationKind::Preview {
            // A preview changes nothing.
            return None;
        }
        let by_kind =
            |onboard, offboard, restore, repair, upgrade, [suspend, resume, regions, proof, update]: [Self; 5]| {
                match kind {
                    OperationKind::Onboard => onboard,
                    OperationKind::Offboard => offboard,
                    OperationKind::Restore => restore,
                    OperationKind::Repair => repair,
                    OperationKind::UpgradeBaseline => upgrade,
                    OperationKind::Suspend => suspend,
                    OperationKind::Resume => resume,
                    OperationKind::ChangeRegions | OperationKind::RemoveRegions | OperationKind::MoveHome => regions,
                    OperationKind::ProveResidency => proof,
                    OperationKind::Update | OperationKind::Preview => update,
                }
            };
        Some(match event {
            E::OperationAccepted => by_kind(
                Self::OnboardingAccepted,
                Self::OffboardingAccepted,
                Self::RestoringAccepted,
                Self::RepairAccepted,
                Self::BaselineUpgradeAccepted,
                [
                    Self::SuspensionAccepted,
                    Self::ResumptionAccepted,
                    Self::RegionChangeAccepted,
                    Self::ResidencyProofAccepted,
                    Self::UpdateAccepted,
                ],
            ),
            E::OperationNeedsAttention => by_kind(
                Self::OnboardingNeedsAttention,
                Self::OffboardingNeedsAttention,
                Self::RestoringNeedsAttention,
                Self::RepairNeedsAttention,
                Self::BaselineUpgradeNeedsAttention,
                [
                    Self::SuspensionNeedsAttention,
                    Self::ResumptionNeedsAttention,
                    Self::RegionChangeNeedsAttention,
                    Self::ResidencyProofNeedsAttention,
                    Self::UpdateNeedsAttention,
                ],
            ),
            E::OperationRecovered | E::OperationRetried => by_kind(
                Self::OnboardingResumed,
                Self::OffboardingResumed,
                Self::RestoringResumed,
                Self::RepairResumed,
                Self::BaselineUpgradeResumed,
                [
                    Self::SuspensionResumed,
                    Self::ResumptionResumed,
                    Self::RegionChangeResumed,
                    Self::ResidencyProofResumed,
                    Self::UpdateResumed,
                ],
            ),
            E::OperationFailed if kind == OperationKind::UpgradeBaseline => Self::BaselineUpgradeFailed,
            E::OperationFailed
                if matches!(
                    kind,
                    OperationKind::ChangeRegions | OperationKind::RemoveRegions | OperationKind::MoveHome
                ) =>
            {
                Self::RegionChangeFailed
            }
            E::OperationFailed if kind == OperationKind::ProveResidency => Self::ResidencyProofFailed,
            E::OperationFailed if kind == OperationKind::Update => Self::UpdateFailed,
            E::OperationSucceeded => by_kind(
                Self::OnboardingSucceeded,
                Self::OffboardingSucceeded,
                Self::RestoringSucceeded,
                Self::RepairSucceeded,
                Self::BaselineUpgradeSucceeded,
                [
                    Self::SuspensionSucceeded,
                    Self::ResumptionSucceeded,
                    Self::RegionChangeSucceeded,
                    Self::ResidencyProofSucceeded,
                    Self::UpdateSucceeded,
                ],
            ),
            E::OperationCanceled => by_kind(
                Self::OnboardingCanceled,
                Self::OffboardingCanceled,
                Self::RestoringCanceled,
                Self::RepairCanceled,
                Self::BaselineUpgradeCanceled,
                [
                    Self::SuspensionCanceled,
                    Self::ResumptionCanceled,
                    Self::RegionChangeCanceled,
                    Self::ResidencyProofCanceled,
                    Self::UpdateCanceled,
                ],
            ),
            E::ApprovalRequested => Self::ApprovalRequested,
            E::ApprovalGranted => Self::ApprovalGranted,
            E::ApprovalRejected => Self::ApprovalRejected,
            E::AccountAssigned => Self::AccountAssigned,
            E::AccountReleased => Self::AccountReleased,
            E::EnvironmentReady => Self::EnvironmentReady,
            E::EnvironmentSuspended => Self::EnvironmentSuspended,
            E::EnvironmentResumed => Self::EnvironmentResumed,
            E::EnvironmentOffboarded => Self::EnvironmentOffboarded,
            E::RegionReady => Self::RegionReady,
            E::RegionFailed => Self::RegionFailed,
            E::HomeMoved => Self::HomeMoved,
            E::FrontDoorDeployed => Self::FrontDoorDeployed,
            E::FrontDoorFailed => Self::FrontDoorFailed,
            // Operations of other kinds need attention instead of failing.
            E::OperationFailed
            | E::OperationStarted
            | E::StepStarted
            | E::StepWaiting
            | E::StepRetrying
            | E::StepSucceeded
            | E::StepSkipped => return None,
        })
    }
}
