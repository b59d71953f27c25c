//! Preparation of the AWS organisation for Freehold with `freehold bootstrap`. The command can be repeated at any time.
//!
//! [`plan`] only reads and returns the [`Action`]s that are needed; [`apply`] executes them. A plan made afterwards is
//! empty.

mod access;
mod action;
mod apply;
mod guardrails;
mod retry;
mod warnings;

use std::collections::BTreeMap;

use freehold_tenancy::{AwsAccountId, Config};

pub use action::Action;
pub use apply::apply;

use crate::attention_codes;
use crate::aws::Aws;
use crate::cloud::CloudError;
use crate::guardrail::PolicyTooLong;
pub(crate) use retry::retry_while_busy;

/// Actions that prepare the organisation, in the order of execution.
#[derive(Debug, Clone)]
pub struct Plan {
    /// ARN of the identity that makes the calls in the management account.
    pub caller_arn: String,
    /// Required changes; empty if the organisation matches the configuration.
    pub actions: Vec<Action>,
    /// Recommendations for the operator. They do not stop bootstrap.
    pub warnings: Vec<String>,
    known: KnownIds,
}

/// Ids of existing objects by name. `apply` adds the ids of the objects that it creates.
#[derive(Debug, Clone, Default)]
struct KnownIds {
    ous: BTreeMap<String, String>,
    policies: BTreeMap<String, String>,
    permission_sets: BTreeMap<String, String>,
}

/// Error of `freehold bootstrap`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BootstrapError {
    /// The credentials belong to an organisation other than the configured one.
    #[error(
        "the credentials belong to the organisation of account {found}, but organization.management_account_id is \
         {configured}; check AWS_PROFILE and the configuration"
    )]
    AnotherOrganization {
        /// Management account in the configuration.
        configured: AwsAccountId,
        /// Management account that AWS reports.
        found: String,
    },
    /// The organisation has consolidated billing only, so it has no service control policies.
    #[error(
        "the organisation has consolidated billing only, so it has no service control policies; enable all features \
         (AWS Organizations console, Settings)"
    )]
    ConsolidatedBillingOnly,
    /// A residency has more regions than fit into one policy.
    #[error(transparent)]
    Guardrail(#[from] PolicyTooLong),
    /// An AWS call failed.
    #[error("{}{}", advice_for(.0), .0)]
    Aws(CloudError),
    /// A permission set could not be provisioned in the accounts that have it.
    #[error("permission set {set} could not be provisioned in its accounts: {reason}")]
    NotProvisioned {
        /// Name of the permission set.
        set: String,
        /// Failure reason of AWS.
        reason: String,
    },
    /// An object is missing, although an earlier action should have created it.
    #[error("{0} does not exist, although bootstrap should have created it; run bootstrap again")]
    Missing(String),
}

impl From<CloudError> for BootstrapError {
    fn from(error: CloudError) -> Self {
        Self::Aws(error)
    }
}

/// Returns the advice for an AWS error, or an empty string.
fn advice_for(error: &CloudError) -> String {
    attention_codes::for_error(error).map(|(_, message)| format!("{message} ")).unwrap_or_default()
}

/// Compares the organisation with the configuration and returns the differences as actions. Changes nothing.
pub async fn plan(aws: &Aws, config: &Config) -> Result<Plan, BootstrapError> {
    let clock = aws.clock();
    // This call is not retried, because waiting does not help if credentials are missing.
    let aws = &aws.as_administrator().await?;
    let caller_arn = retry_while_busy(clock, || aws.caller_arn()).await?;

    let organization = retry_while_busy(clock, || aws.organization_facts()).await?;
    let configured = &config.organization.management_account_id;
    if organization.management_account_id != configured.as_str() {
        return Err(BootstrapError::AnotherOrganization {
            configured: configured.clone(),
            found: organization.management_account_id,
        });
    }
    if !organization.all_features {
        return Err(BootstrapError::ConsolidatedBillingOnly);
    }

    let mut plan = Plan { caller_arn, actions: Vec::new(), warnings: Vec::new(), known: KnownIds::default() };
    guardrails::plan(aws, config, &mut plan).await?;
    access::plan(aws, config, &mut plan).await?;
    warnings::collect(aws, config, &mut plan).await?;
    Ok(plan)
}
