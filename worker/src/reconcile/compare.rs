//! What is, held against what the database and the configuration say. Pure: no call, no clock.
//!
//! An environment is compared in full while it is ready with nothing under way. Of one that is being onboarded, repaired or
//! offboarded only its account is looked for: its operation knows better. Accounts whose mapping has ended rest in the
//! quarantine OU or are closed, and are no finding.
//!
//! What is left out: changes inside a stack's resources that were made past CloudFormation (a function's code, a role's
//! policy). Only CloudFormation's own drift detection sees those, at a call and some minutes for each stack.

mod access;
mod organization;
mod ou;
mod stacks;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::reconcile::{ExpectedState, MappedEnvironment};
use freehold_tenancy::finding::{Finding, FindingKind, FindingRemedy, NewFinding};
use freehold_tenancy::{AwsAccountId, Config, InstallationId};

use super::observe::{Inside, Observed};

/// What two sides are held against each other.
pub(super) struct CompareInput<'a> {
    /// AWS, read since `started_at`.
    pub(super) seen: &'a Observed,
    /// The database, read afterwards: what was accepted or done meanwhile is in it.
    pub(super) known: &'a ExpectedState,
    /// What the operator has declared.
    pub(super) config: &'a Config,
    /// Whose tags are ours.
    pub(super) installation: InstallationId,
    /// When the first look was taken.
    pub(super) started_at: DateTime<Utc>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    /// What is not as it should be.
    pub(super) found: Vec<NewFinding>,
    /// What could not be told of which account.
    unseen: BTreeSet<(AwsAccountId, Aspect)>,
}

/// What a finding is about: each is looked at by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Organization,
    Place,
    Access,
    Inside,
}

impl Aspect {
    fn of(kind: FindingKind) -> Self {
        match kind {
            FindingKind::WrongOu => Self::Place,
            FindingKind::AssignmentMissing | FindingKind::AssignmentExtra => Self::Access,
            FindingKind::AccessLost
            | FindingKind::StackMissing
            | FindingKind::StackFailed
            | FindingKind::StackDrifted => Self::Inside,
            _ => Self::Organization,
        }
    }
}

/// Compares.
pub(super) fn compare(sides: &CompareInput<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    organization::unknown_accounts(sides, &mut comparison);
    organization::guardrails(sides, &mut comparison);
    access::declared(sides, &mut comparison);
    for environment in &sides.known.environments {
        let account = &environment.aws_account_id;
        if !organization::account(sides, environment, &mut comparison) {
            continue;
        }
        if !is_settled(sides, environment) {
            comparison.unseen.extend([Aspect::Place, Aspect::Access, Aspect::Inside].map(|one| (account.clone(), one)));
            continue;
        }
        ou::check(sides, environment, &mut comparison);
        match sides.seen.access.get(account) {
            Some(holders) => access::check(sides, environment, holders, &mut comparison),
            None => _ = comparison.unseen.insert((account.clone(), Aspect::Access)),
        }
        match sides.seen.inside.get(account) {
            Some(Inside::Stacks { baseline, stack }) => {
                stacks::check(sides, environment, baseline.as_ref(), stack.as_ref(), &mut comparison);
            }
            Some(Inside::AccessDenied(why)) => stacks::no_way_in(environment, why, &mut comparison),
            None => _ = comparison.unseen.insert((account.clone(), Aspect::Inside)),
        }
    }
    comparison
}

/// Whether the environment was ready, with nothing under way, from before the first look until after the last.
fn is_settled(sides: &CompareInput<'_>, environment: &MappedEnvironment) -> bool {
    environment.settled_at.is_some_and(|at| at < sides.started_at)
}

impl Comparison {
    /// Notes a finding about the organisation as a whole.
    fn organization(&mut self, kind: FindingKind, subject: &str, message: String) {
        self.found.push(NewFinding {
            kind,
            subject: subject.to_owned(),
            aws_account_id: None,
            environment: None,
            message,
            remedy: FindingRemedy::Person,
        });
    }

    /// Notes a finding about an environment; `detail` tells it from others of its kind there, and `remedy` is what it takes
    /// as things stand.
    fn environment(
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
            // Whatever a rule thinks, what is not known to be safe is not done.
            remedy: if kind.is_safe_to_repair() { remedy } else { FindingRemedy::Person },
        });
    }

    /// Whether an open finding would have been found again if it still held.
    pub(super) fn would_have_found(&self, finding: &Finding) -> bool {
        let aspect = Aspect::of(finding.kind);
        finding.aws_account_id.as_ref().is_none_or(|account| !self.unseen.contains(&(account.clone(), aspect)))
    }
}

/// An environment as people call it.
fn called(environment: &MappedEnvironment) -> String {
    format!("{} of {}", environment.name, environment.company_name)
}

#[cfg(test)]
mod tests;
