//! Compares the observed state of AWS with the database and the configuration. The comparison is a pure function
//! without calls and without a clock.
//!
//! An environment is compared in full if it is ready and has no open operation. A suspended one must be in the
//! quarantine OU. For an environment with an open operation, only the existence of its account is checked. Accounts
//! whose mapping has ended are in the quarantine OU or closed, and cause no finding.
//!
//! Changes of a stack's resources outside CloudFormation, such as a function's code or a role's policy, are not
//! detected. Only CloudFormation's drift detection finds them, which takes a call and some minutes per stack.

mod access;
mod organization;
mod ou;
mod releases;
mod stacks;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::reconcile::{ExpectedState, MappedEnvironment, TemplateHashes};
use freehold_tenancy::finding::{Finding, FindingKind, FindingRemedy, NewFinding};
use freehold_tenancy::{AwsAccountId, Config, InstallationId};

use super::observe::{AccountStacks, Observed};
pub(super) use access::own_group_id;

/// Input of a comparison of AWS with the database.
pub(super) struct CompareInput<'a> {
    /// State of AWS. All reads were made after `started_at`.
    pub(super) seen: &'a Observed,
    /// State of the database. It was read after AWS, so that it includes changes made in the meantime.
    pub(super) known: &'a ExpectedState,
    /// Hashes of the templates of all releases, in the regions in which a template was read.
    pub(super) template_hashes: &'a TemplateHashes,
    pub(super) config: &'a Config,
    /// Id of this installation, which the tags of its accounts contain.
    pub(super) installation: InstallationId,
    /// Start of the comparison, before the first read of AWS.
    pub(super) started_at: DateTime<Utc>,
}

/// Result of a comparison of AWS with the database.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    /// Differences between AWS and the expected state.
    pub(super) found: Vec<NewFinding>,
    /// Aspects of accounts that were not compared.
    unseen: BTreeSet<(AwsAccountId, Aspect)>,
}

/// Part of an account's state. The parts are read independently of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Organization,
    Ou,
    Access,
    AccountStacks,
}

impl Aspect {
    fn of(kind: FindingKind) -> Self {
        match kind {
            FindingKind::WrongOu => Self::Ou,
            FindingKind::AssignmentMissing | FindingKind::AssignmentExtra => Self::Access,
            FindingKind::AccessLost
            | FindingKind::StackMissing
            | FindingKind::StackFailed
            | FindingKind::StackDrifted
            | FindingKind::ReleaseMismatch
            | FindingKind::BaselineOutdated => Self::AccountStacks,
            _ => Self::Organization,
        }
    }
}

pub(super) fn compare(input: &CompareInput<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    organization::check_unknown_accounts(input, &mut comparison);
    organization::check_guardrails(input, &mut comparison);
    access::check_identity_center(input, &mut comparison);
    for environment in &input.known.environments {
        let account = &environment.aws_account_id;
        if !organization::check_account(input, environment, &mut comparison) {
            continue;
        }
        if !is_settled(input, environment.settled_at) {
            comparison.unseen.extend([Aspect::Access, Aspect::AccountStacks].map(|one| (account.clone(), one)));
            if is_settled(input, environment.suspended_at) {
                ou::check_quarantine(input, environment, &mut comparison);
            } else {
                comparison.unseen.insert((account.clone(), Aspect::Ou));
            }
            continue;
        }
        ou::check(input, environment, &mut comparison);
        match input.seen.access.get(account) {
            Some(holders) => access::check(input, environment, holders, &mut comparison),
            None => _ = comparison.unseen.insert((account.clone(), Aspect::Access)),
        }
        match input.seen.account_stacks.get(account) {
            Some(AccountStacks::Stacks(stacks)) => stacks::check(input, environment, stacks, &mut comparison),
            Some(AccountStacks::AccessDenied(why)) => stacks::report_lost_access(environment, why, &mut comparison),
            None => _ = comparison.unseen.insert((account.clone(), Aspect::AccountStacks)),
        }
    }
    comparison
}

/// Returns whether the environment has been in a state since before the first read of the comparison.
pub(super) fn is_settled(input: &CompareInput<'_>, since: Option<DateTime<Utc>>) -> bool {
    since.is_some_and(|at| at < input.started_at)
}

impl Comparison {
    /// Adds a finding about the organisation as a whole.
    fn add_organization_finding(&mut self, kind: FindingKind, subject: &str, message: String) {
        self.found.push(NewFinding {
            kind,
            subject: subject.to_owned(),
            aws_account_id: None,
            environment: None,
            message,
            remedy: FindingRemedy::Person,
        });
    }

    /// Adds a finding about an environment. `detail` distinguishes several findings of the same kind in the same
    /// environment.
    fn add_environment_finding(
        &mut self,
        kind: FindingKind,
        of: &MappedEnvironment,
        detail: &str,
        remedy: FindingRemedy,
        message: String,
    ) {
        let account = &of.aws_account_id;
        self.found.push(NewFinding {
            kind,
            subject: if detail.is_empty() { account.to_string() } else { format!("{account}/{detail}") },
            aws_account_id: Some(account.clone()),
            environment: Some((of.tenant_id, of.id)),
            message,
            // Findings of other kinds are never repaired automatically, even if the caller requests it.
            remedy: if kind.is_safe_to_repair() { remedy } else { FindingRemedy::Person },
        });
    }

    /// Returns whether this comparison would have found an open finding again if the difference still existed.
    pub(super) fn would_have_found(&self, finding: &Finding) -> bool {
        let aspect = Aspect::of(finding.kind);
        finding.aws_account_id.as_ref().is_none_or(|account| !self.unseen.contains(&(account.clone(), aspect)))
    }
}

/// Returns the names of the environment and the company, for messages.
fn environment_label(environment: &MappedEnvironment) -> String {
    format!("{} of {}", environment.name, environment.company_name)
}

#[cfg(test)]
mod tests;
