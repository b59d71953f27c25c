//! Reads the stacks of accounts, and the templates of stacks that have changed.

use std::collections::BTreeMap;

use freehold_tenancy::AwsAccountId;
use freehold_tenancy::config::sha256_of;
use freehold_tenancy::db::reconcile::{DeployedStack, MappedEnvironment};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};

use super::super::throttle::{ObserveError, ReadThrottle};
use super::account_results::split_results;
use crate::aws::Aws;
use crate::cloud::{CloudError, CloudErrorKind, Role, StackState, StackStatus, Target};

/// Maximum number of accounts whose stacks are read concurrently.
const STACKS_CONCURRENCY: usize = 16;

/// Freehold's stacks in an account, or the error if they cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AccountStacks {
    /// The account could be read.
    Stacks(Vec<ObservedStack>),
    /// The role cannot be assumed or has no permission to read. Contains the error message.
    AccessDenied(String),
}

/// Stack that has the name of a deployed stack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedStack {
    /// The deployed stack, as it was on record before the read.
    pub(crate) deployed: DeployedStack,
    /// State of the stack; `None` if there is none.
    pub(crate) state: Option<StackState>,
    /// SHA-256 of the template; `None` if it was not read.
    pub(crate) template_sha256: Option<String>,
}

/// Stacks by account, and the accounts that could not be read.
pub(super) type StacksByAccount = (BTreeMap<AwsAccountId, AccountStacks>, Vec<(AwsAccountId, String)>);

/// Reads the stacks of each account.
pub(super) async fn read(
    aws: &Aws,
    targets: &[(Target, &MappedEnvironment)],
    throttle: &ReadThrottle,
) -> Result<StacksByAccount, ObserveError> {
    let reads =
        targets.iter().map(|(target, environment)| read_account_stacks(aws, target, environment, throttle).boxed());
    let reads: Vec<BoxFuture<'_, _>> = reads.collect();
    let reads: Vec<_> = stream::iter(reads).buffer_unordered(STACKS_CONCURRENCY).collect().await;
    split_results(reads)
}

async fn read_account_stacks(
    aws: &Aws,
    target: &Target,
    environment: &MappedEnvironment,
    throttle: &ReadThrottle,
) -> Result<(AwsAccountId, AccountStacks), (AwsAccountId, ObserveError)> {
    let id = target.id().clone();
    // Sequential, so that the later calls reuse the session of the first.
    let mut stacks = Vec::new();
    for deployed in &environment.stacks {
        match read_stack(aws, target, deployed, throttle).await {
            Ok(found) => stacks.push(found),
            Err(ObserveError::Cloud(error @ CloudError { kind: CloudErrorKind::Denied { .. }, .. })) => {
                return Ok((id, AccountStacks::AccessDenied(error.to_string())));
            }
            Err(error) => return Err((id, error)),
        }
    }
    Ok((id, AccountStacks::Stacks(stacks)))
}

/// Returns the stack that currently has the name of the deployed stack.
async fn read_stack(
    aws: &Aws,
    target: &Target,
    deployed: &DeployedStack,
    throttle: &ReadThrottle,
) -> Result<ObservedStack, ObserveError> {
    // The stack is searched by name, so that a stack that replaced the deployed one is found too.
    let (region, name) = (deployed.region, &deployed.name);
    let read = || aws.stack(target, Role::Access, region, name);
    let state = throttle.read("cloudformation:DescribeStacks", read).await?;
    let template_sha256 = match &state {
        Some(stack) if may_have_another_template(deployed, stack) => {
            let read = || aws.template_of_stack(target, Role::Access, region, &stack.id);
            match throttle.read("cloudformation:GetTemplate", read).await {
                Ok(template) => Some(sha256_of(&template)),
                // The role of an older baseline cannot read templates.
                Err(ObserveError::Cloud(CloudError { kind: CloudErrorKind::Denied { .. }, .. })) => None,
                Err(error) => return Err(error),
            }
        }
        _ => None,
    };
    Ok(ObservedStack { deployed: deployed.clone(), state, template_sha256 })
}

/// Returns whether the stack of a release has changed since the last change by Freehold.
fn may_have_another_template(deployed: &DeployedStack, stack: &StackState) -> bool {
    deployed.release.is_some()
        && matches!(stack.status, StackStatus::Complete | StackStatus::UpdateRolledBack)
        && (stack.id != deployed.stack_id || stack.updated_at.is_some_and(|at| at > deployed.at))
}
