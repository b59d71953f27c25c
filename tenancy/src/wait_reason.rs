//! Wait reasons: the conditions that steps wait for, with their texts for operators.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::Region;
use crate::fleet_hold::HoldKind;
use crate::quota::Quota;
use crate::vending::VendingStop;

/// Condition that a step waits for. The `Display` text completes the sentence "waits for …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    AccountCreation,
    /// Waits for the creation of the account that a cancelled onboarding has requested, so that the account can be
    /// offboarded.
    AccountCreationBeforeOffboarding,
    /// Waits until the first AWS call in the new account succeeds.
    AccountUsable,
    AccountClosure,
    /// Waits until AWS's limit of account closures in 30 days allows another closure.
    ClosureLimit {
        /// Time at which the next closure is allowed; `None` if closures outside Freehold have used up the limit.
        free_at: Option<DateTime<Utc>>,
    },
    StackDeployment {
        stack: String,
    },
    StackUpdate {
        stack: String,
    },
    ChangeSet {
        stack: String,
    },
    StackDeletion {
        stack: String,
    },
    StackRollback {
        stack: String,
    },
    /// Waits until CloudFormation accepts calls in a new account or region.
    CloudFormationUsable {
        region: Region,
        error: String,
    },
    RegionOptIn {
        region: Region,
    },
    AccessAssignment,
    /// Waits until an access assignment in progress has finished, so that it can be revoked.
    AccessAssignmentBeforeRevocation,
    AccessRevocation,
    /// Waits until the result of a request to AWS is known, because the response to the request was lost.
    LostResponse(RequestedWork),
    RepeatedRequest(RequestedWork),
    /// Waits until AWS allows step `verify` to make a read call in the home region.
    HomeRegionAccess {
        region: Region,
    },
    /// Waits until AWS allows step `verify-replica-…` to make a read call in the region of the replica.
    ReplicaRegionAccess {
        region: Region,
    },
    /// Waits until the guardrail denies the read call that step `verify` makes in a region outside the residency.
    GuardrailDenial {
        region: Region,
    },
    /// Waits until the stack responds to the call of step `verify`.
    StackResponse {
        error: String,
    },
    /// Waits until the front door responds to the call of step `verify-front-door`.
    FrontDoorResponse {
        error: String,
    },
    /// Waits until the front door no longer gets an answer from a function.
    FrontDoorClosed,
    /// Waits until AWS lists the access assignment that step `verify` checks.
    AssignmentVisible {
        name: String,
    },
    Quota {
        quota: Quota,
        limit: u16,
    },
    /// Waits until Freehold has counted the AWS requests in progress under the quota.
    QuotaUsageKnown(Quota),
    RateLimit {
        call: String,
    },
    FleetHold(HoldKind),
    /// Waits until accounts may be created again.
    VendingStopped(VendingStop),
    /// Waits until the template of the tenant stack is corrected.
    CorrectedTemplate {
        fault: String,
    },
    CoolingOff {
        ends_at: DateTime<Utc>,
    },
    LegalHold,
    /// Waits because AWS refused a call with a temporary error.
    AwsRefusal {
        error: String,
    },
    /// Waits until a failed step is retried.
    NextAttempt,
    /// Waits because its approval was decided while the step ran.
    RecordedDecision,
}

/// Work that a step requests from AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedWork {
    Account,
    Stack,
    Assignment,
    Revocation,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccountCreation => f.write_str("the account to be created"),
            Self::AccountCreationBeforeOffboarding => {
                f.write_str("the requested account to be created, so that it can be offboarded")
            }
            Self::AccountUsable => f.write_str("the new account to accept calls"),
            Self::AccountClosure => f.write_str("AWS to close the account"),
            Self::ClosureLimit { free_at: Some(free_at) } => {
                write!(
                    f,
                    "AWS's limit of account closures in 30 days to allow another closure, on {}",
                    format_minute(*free_at)
                )
            }
            Self::ClosureLimit { free_at: None } => {
                f.write_str("AWS's limit of account closures in 30 days, used up by closures outside Freehold")
            }
            Self::StackDeployment { stack } => write!(f, "the stack {stack} to be deployed"),
            Self::StackUpdate { stack } => write!(f, "the stack {stack} to be updated"),
            Self::ChangeSet { stack } => write!(f, "the change set of the stack {stack} to be prepared"),
            Self::StackDeletion { stack } => write!(f, "the stack {stack} to be deleted"),
            Self::StackRollback { stack } => write!(f, "the stack {stack} to be rolled back"),
            Self::CloudFormationUsable { region, error } => {
                write!(f, "CloudFormation in {region} to accept calls ({error})")
            }
            Self::RegionOptIn { region } => write!(f, "the region {region} to be enabled"),
            Self::AccessAssignment => f.write_str("access to be assigned"),
            Self::AccessAssignmentBeforeRevocation => {
                f.write_str("the requested access to be assigned, so that it can be revoked")
            }
            Self::AccessRevocation => f.write_str("access to be revoked"),
            Self::LostResponse(work) => write!(f, "the outcome of an earlier request for {work}"),
            Self::RepeatedRequest(work) => {
                write!(f, "another request for {work}, because AWS did not complete the last one")
            }
            Self::HomeRegionAccess { region } => write!(f, "a read in the home region {region} to be allowed"),
            Self::ReplicaRegionAccess { region } => write!(f, "a read in the replica region {region} to be allowed"),
            Self::GuardrailDenial { region } => write!(f, "the region guardrail to deny a read in {region}"),
            Self::StackResponse { error } => write!(f, "the stack to respond ({error})"),
            Self::FrontDoorResponse { error } => write!(f, "the front door to respond ({error})"),
            Self::FrontDoorClosed => f.write_str("the front door to stop responding"),
            Self::AssignmentVisible { name } => write!(f, "the assignment of {name} to be visible"),
            Self::Quota { quota, limit } => {
                write!(f, "a free slot; AWS allows {limit} {} at a time", quota_in_words(*quota))
            }
            Self::QuotaUsageKnown(quota) => {
                write!(f, "Freehold to count the {} in progress at AWS", quota_in_words(*quota))
            }
            Self::RateLimit { call } => write!(f, "AWS's rate limit to allow another call of {call}"),
            Self::FleetHold(kind) => f.write_str(kind.waits_for()),
            Self::VendingStopped(stop) => stop.fmt(f),
            Self::CorrectedTemplate { fault } => {
                write!(f, "{}: {fault}", HoldKind::TemplateRejected.waits_for())
            }
            Self::CoolingOff { ends_at } => write!(
                f,
                "the end of the cooling-off period on {}; until then the environment can be restored",
                format_minute(*ends_at)
            ),
            Self::LegalHold => f.write_str("the legal hold on the tenant to be lifted"),
            Self::AwsRefusal { error } => write!(f, "AWS to be ready: {error}"),
            Self::NextAttempt => f.write_str("the next attempt"),
            Self::RecordedDecision => f.write_str("a worker to process the decision just recorded"),
        }
    }
}

impl fmt::Display for RequestedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "the account",
            Self::Stack => "the stack",
            Self::Assignment => "the access assignment",
            Self::Revocation => "the access revocation",
        })
    }
}

fn format_minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn quota_in_words(quota: Quota) -> String {
    quota.as_str().replace('-', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_named_in_words() {
        let reason = WaitReason::Quota { quota: Quota::AccountCreations, limit: 5 };
        assert_eq!(reason.to_string(), "a free slot; AWS allows 5 account creations at a time");
    }
}
