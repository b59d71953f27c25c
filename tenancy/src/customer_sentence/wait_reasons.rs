//! Customer sentences of the wait reasons, by value and by stored text.

use crate::fleet_hold::HoldKind;
use crate::wait_reason::WaitReason;

const ACCESS_CHANGES: &str = "Access to your environment is being changed. The work continues by itself after that.";
const ACCOUNT_CLOSES: &str = "Your account is being closed. The work continues by itself after that.";
const ACCOUNT_IS_CREATED: &str = "Your account is being created. The work continues by itself after that.";
const ACCOUNTS_PAUSED: &str = "No new accounts are being created at the moment, and your request keeps its place in \
                               the queue. The work continues by itself when the pause ends.";
const ACCOUNTS_STOPPED: &str = "No new accounts can be created at the moment, and your request keeps its place in the \
                                queue. A colleague is taking care of it.";
const ADDRESS_CLOSES: &str =
    "The web address of your environment is being switched off. The work continues by itself after that.";
const CHANGE_IS_PREPARED: &str =
    "A change of the software in your environment is being prepared. The work continues by itself after that.";
const CHANGE_IS_UNDONE: &str =
    "An earlier change of the software in your environment is being undone. The work continues by itself after that.";
const CLOSURE_QUEUED: &str = "The closing of your account is waiting for its turn, which can take days or weeks. The \
                              work continues by itself after that.";
const COOLING_OFF: &str = "Your environment is switched off and can still be restored until the waiting period ends. \
                           The work continues by itself after that.";
const DATA_KEPT: &str =
    "The deletion is paused, and your data is kept. The work continues by itself when the pause ends.";
const DECISION_RECORDED: &str = "A decision on the work has just been recorded. The work continues by itself.";
const EARLIER_REQUEST_CHECKED: &str =
    "We are checking the result of an earlier part of the work. The work continues by itself after that.";
const ENVIRONMENT_CHANGES: &str = "Your environment is being updated. The work continues by itself after that.";
const ENVIRONMENT_CHECKED: &str = "Your environment is being checked. The work continues by itself after that.";
const NOT_READY: &str = "Your account is not ready for the next part of the work yet. The work continues by itself.";
const QUEUED: &str = "The next part of the work is waiting for its turn. The work continues by itself.";
const REGION_IS_ENABLED: &str = "A region is being enabled for your account, which can take minutes or hours. The work \
                                 continues by itself after that.";
const RETRIED: &str = "A part of the work has to be tried again. This happens by itself.";
const SETUP_NOT_COMPLETE: &str =
    "The setup for new accounts is still being completed. The work continues by itself after that.";
const SOFTWARE_INSTALLED: &str =
    "The software is being installed in your environment. The work continues by itself after that.";
const SOFTWARE_NEEDS_CORRECTION: &str =
    "The software for your environment needs a correction before it can be installed. A colleague is working on it.";
const SOFTWARE_REMOVED: &str =
    "A part of the software is being removed from your environment. The work continues by itself after that.";
const WORK_PAUSED: &str = "All work is paused on our side at the moment. A colleague is taking care of it.";

/// Stored texts of all wait reasons: beginning and end of the text, and the sentence. The first matching entry applies.
///
/// The end is empty where a text ends with an error message, because long texts are stored without their end.
const SENTENCES_BY_TEXT: &[(&str, &str, &str)] = &[
    ("the account to be created", "", ACCOUNT_IS_CREATED),
    ("the requested account to be created", "", ACCOUNT_IS_CREATED),
    ("the new account to accept calls", "", NOT_READY),
    ("AWS to close the account", "", ACCOUNT_CLOSES),
    ("AWS's limit of account closures in 30 days", "", CLOSURE_QUEUED),
    ("the stack to respond (", "", ENVIRONMENT_CHECKED),
    ("the stack ", " to be deployed", SOFTWARE_INSTALLED),
    ("the stack ", " to be updated", ENVIRONMENT_CHANGES),
    ("the change set of the stack ", " to be prepared", CHANGE_IS_PREPARED),
    ("the stack ", " to be deleted", SOFTWARE_REMOVED),
    ("the stack ", " to be rolled back", CHANGE_IS_UNDONE),
    ("CloudFormation in ", "", NOT_READY),
    ("the region guardrail to deny a read in ", "", ENVIRONMENT_CHECKED),
    ("the region ", " to be enabled", REGION_IS_ENABLED),
    ("access to be assigned", "", ACCESS_CHANGES),
    ("the requested access to be assigned", "", ACCESS_CHANGES),
    ("access to be revoked", "", ACCESS_CHANGES),
    ("the outcome of an earlier request for ", "", EARLIER_REQUEST_CHECKED),
    ("another request for ", "", RETRIED),
    ("a read in the home region ", " to be allowed", ENVIRONMENT_CHECKED),
    ("a read in the replica region ", " to be allowed", ENVIRONMENT_CHECKED),
    ("the front door to respond (", "", ENVIRONMENT_CHECKED),
    ("the front door to stop responding", "", ADDRESS_CLOSES),
    ("the assignment of ", " to be visible", ACCESS_CHANGES),
    ("a free slot; AWS allows ", "", QUEUED),
    ("Freehold to count the ", "", QUEUED),
    ("AWS's rate limit to allow another call of ", "", QUEUED),
    // Also the beginning of the text of `CorrectedTemplate`.
    (HoldKind::TemplateRejected.waits_for(), "", of_hold(HoldKind::TemplateRejected)),
    (HoldKind::AccountQuotaReached.waits_for(), "", of_hold(HoldKind::AccountQuotaReached)),
    (HoldKind::OrganizationFinalizing.waits_for(), "", of_hold(HoldKind::OrganizationFinalizing)),
    (HoldKind::WorkersWithoutAwsAccess.waits_for(), "", of_hold(HoldKind::WorkersWithoutAwsAccess)),
    ("an operator to resume the creation of accounts", "", ACCOUNTS_PAUSED),
    ("the configured maximum of ", "", ACCOUNTS_PAUSED),
    ("the end of the cooling-off period", "", COOLING_OFF),
    ("the legal hold on the tenant to be lifted", "", DATA_KEPT),
    ("AWS to be ready: ", "", NOT_READY),
    ("the next attempt", "", RETRIED),
    ("a worker to process the decision just recorded", "", DECISION_RECORDED),
];

impl WaitReason {
    /// Returns the sentence that support staff read to the customer.
    pub fn customer_sentence(&self) -> &'static str {
        match self {
            Self::AccountCreation | Self::AccountCreationBeforeOffboarding => ACCOUNT_IS_CREATED,
            Self::AccountUsable | Self::CloudFormationUsable { .. } | Self::AwsRefusal { .. } => NOT_READY,
            Self::AccountClosure => ACCOUNT_CLOSES,
            Self::ClosureLimit { .. } => CLOSURE_QUEUED,
            Self::StackDeployment { .. } => SOFTWARE_INSTALLED,
            Self::StackUpdate { .. } => ENVIRONMENT_CHANGES,
            Self::ChangeSet { .. } => CHANGE_IS_PREPARED,
            Self::StackDeletion { .. } => SOFTWARE_REMOVED,
            Self::StackRollback { .. } => CHANGE_IS_UNDONE,
            Self::RegionOptIn { .. } => REGION_IS_ENABLED,
            Self::AccessAssignment
            | Self::AccessAssignmentBeforeRevocation
            | Self::AccessRevocation
            | Self::AssignmentVisible { .. } => ACCESS_CHANGES,
            Self::LostResponse(_) => EARLIER_REQUEST_CHECKED,
            Self::RepeatedRequest(_) | Self::NextAttempt => RETRIED,
            Self::HomeRegionAccess { .. }
            | Self::ReplicaRegionAccess { .. }
            | Self::GuardrailDenial { .. }
            | Self::StackResponse { .. }
            | Self::FrontDoorResponse { .. } => ENVIRONMENT_CHECKED,
            Self::FrontDoorClosed => ADDRESS_CLOSES,
            Self::Quota { .. } | Self::QuotaUsageKnown(_) | Self::RateLimit { .. } => QUEUED,
            Self::FleetHold(kind) => of_hold(*kind),
            Self::VendingStopped(_) => ACCOUNTS_PAUSED,
            Self::CorrectedTemplate { .. } => of_hold(HoldKind::TemplateRejected),
            Self::CoolingOff { .. } => COOLING_OFF,
            Self::LegalHold => DATA_KEPT,
            Self::RecordedDecision => DECISION_RECORDED,
        }
    }
}

/// Returns the sentence of operations under a fleet hold.
const fn of_hold(kind: HoldKind) -> &'static str {
    match kind {
        HoldKind::AccountQuotaReached => ACCOUNTS_STOPPED,
        HoldKind::OrganizationFinalizing => SETUP_NOT_COMPLETE,
        HoldKind::TemplateRejected => SOFTWARE_NEEDS_CORRECTION,
        HoldKind::WorkersWithoutAwsAccess => WORK_PAUSED,
    }
}

/// Returns the sentence for the stored text of a wait reason, or `None` if no wait reason of this version has such a
/// text.
pub fn of_wait_text(text: &str) -> Option<&'static str> {
    let fits = |start: &str, end: &str| text.strip_prefix(start).is_some_and(|rest| rest.ends_with(end));
    SENTENCES_BY_TEXT.iter().find(|(start, end, _)| fits(start, end)).map(|(_, _, sentence)| *sentence)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU32;

    use chrono::{DateTime, Utc};

    use super::*;
    use crate::Region;
    use crate::quota::Quota;
    use crate::vending::VendingStop;
    use crate::wait_reason::RequestedWork;

    /// Returns every wait reason, with each value that changes its text.
    pub(in crate::customer_sentence) fn all() -> Vec<WaitReason> {
        let (region, maximum): (Region, _) = ("eu-central-1".parse().unwrap(), NonZeroU32::MIN);
        let (stack, name) = ("freehold-tenant".to_owned(), "admin to tenant-1".to_owned());
        // The error contains the end of another text.
        let error = "AccessDenied: the stack waits to be deployed".to_owned();
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let mut all = vec![
            WaitReason::AccountCreation,
            WaitReason::AccountCreationBeforeOffboarding,
            WaitReason::AccountUsable,
            WaitReason::AccountClosure,
            WaitReason::ClosureLimit { free_at: Some(at) },
            WaitReason::ClosureLimit { free_at: None },
            WaitReason::StackDeployment { stack: stack.clone() },
            WaitReason::StackUpdate { stack: stack.clone() },
            WaitReason::ChangeSet { stack: stack.clone() },
            WaitReason::StackDeletion { stack: stack.clone() },
            WaitReason::StackRollback { stack },
            WaitReason::CloudFormationUsable { region, error: error.clone() },
            WaitReason::RegionOptIn { region },
            WaitReason::AccessAssignment,
            WaitReason::AccessAssignmentBeforeRevocation,
            WaitReason::AccessRevocation,
            WaitReason::HomeRegionAccess { region },
            WaitReason::ReplicaRegionAccess { region },
            WaitReason::GuardrailDenial { region },
            WaitReason::StackResponse { error: error.clone() },
            WaitReason::FrontDoorResponse { error: error.clone() },
            WaitReason::FrontDoorClosed,
            WaitReason::AssignmentVisible { name },
            WaitReason::RateLimit { call: "organizations:CreateAccount".to_owned() },
            WaitReason::VendingStopped(VendingStop::Paused { reason: error.clone() }),
            WaitReason::VendingStopped(VendingStop::CeilingReached { maximum }),
            WaitReason::VendingStopped(VendingStop::DailyCeilingReached { maximum, until: at }),
            WaitReason::CorrectedTemplate { fault: error.clone() },
            WaitReason::CoolingOff { ends_at: at },
            WaitReason::LegalHold,
            WaitReason::AwsRefusal { error },
            WaitReason::NextAttempt,
            WaitReason::RecordedDecision,
        ];
        for work in [RequestedWork::Account, RequestedWork::Stack, RequestedWork::Assignment, RequestedWork::Revocation]
        {
            all.extend([WaitReason::LostResponse(work), WaitReason::RepeatedRequest(work)]);
        }
        for quota in Quota::ALL {
            all.extend([WaitReason::Quota { quota: *quota, limit: 5 }, WaitReason::QuotaUsageKnown(*quota)]);
        }
        all.extend(HoldKind::ALL.iter().map(|kind| WaitReason::FleetHold(*kind)));
        all
    }

    #[test]
    fn the_list_of_the_test_has_every_wait_reason() {
        let source = include_str!("../wait_reason.rs");
        let (_, variants) = source.split_once("pub enum WaitReason {").unwrap();
        let (variants, _) = variants.split_once("\n}").unwrap();
        let is_variant =
            |line: &&str| line.strip_prefix("    ").is_some_and(|line| line.starts_with(char::is_uppercase));
        let listed: HashSet<_> = all().iter().map(std::mem::discriminant).collect();
        assert_eq!(listed.len(), variants.lines().filter(is_variant).count());
    }

    #[test]
    fn the_stored_text_of_a_wait_reason_leads_to_its_sentence() {
        for reason in all() {
            let text = reason.to_string();
            assert_eq!(of_wait_text(&text), Some(reason.customer_sentence()), "{text}");
        }
    }

    #[test]
    fn every_text_in_the_table_is_used() {
        let texts: Vec<_> = all().iter().map(ToString::to_string).collect();
        for (start, end, _) in SENTENCES_BY_TEXT {
            assert!(texts.iter().any(|text| text.starts_with(start) && text.ends_with(end)), "{start}…{end}");
        }
    }

    #[test]
    fn an_unknown_text_has_no_sentence() {
        for text in ["", "a while", "the stack freehold-tenant to be painted", "the accounts"] {
            assert_eq!(of_wait_text(text), None, "{text}");
        }
    }
}
