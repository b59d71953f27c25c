//! `freehold bootstrap`: prepares the organisation, once and repeatably.
//!
//! [`plan`] only reads. What it finds missing or changed becomes a list of [`Action`]s, each one line to a person;
//! [`apply`] carries them out. A second plan after that is empty.

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
use crate::guardrail::TooLong;
use retry::retry_while_busy;

/// What is missing, in the order in which it has to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// As whom the organisation was looked at, and will be changed: an ARN.
    pub acting_as: String,
    /// What to do; nothing where everything is as configured.
    pub actions: Vec<Action>,
    /// What a person should know or do; none of it stops anything.
    pub warnings: Vec<String>,
    known: Ids,
}

/// Ids of what exists, by name; `apply` adds what it makes.
#[derive(Debug, Clone, Default)]
struct Ids {
    ous: BTreeMap<String, String>,
    policies: BTreeMap<String, String>,
    permission_sets: BTreeMap<String, String>,
}

/// Why the organisation cannot be prepared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// The credentials belong to another organisation than the configured one.
    #[error(
        "these credentials belong to the organisation of account {found}, but organization.management_account_id is \
         {configured}"
    )]
    AnotherOrganization {
        /// The management account in the configuration.
        configured: AwsAccountId,
        /// The one that AWS told.
        found: String,
    },
    /// Policies are a feature of organisations that have all of them.
    #[error(
        "the organisation has consolidated billing only; enable all features (AWS Organizations console, Settings), \
         without which there are no service control policies"
    )]
    BillingOnly,
    /// A residency names more regions than one policy holds.
    #[error(transparent)]
    Guardrail(#[from] TooLong),
    /// AWS refused, or could not be asked.
    #[error("{}{}", hint(.0), .0)]
    Aws(CloudError),
    /// A permission set did not reach the accounts that have it.
    #[error("the permission set {set} could not be brought to its accounts: {reason}")]
    NotProvisioned {
        /// Its name.
        set: String,
        /// AWS's reason.
        reason: String,
    },
    /// An action needs what an earlier one should have made.
    #[error("{0} is not there, although it should be by now; run bootstrap again")]
    Missing(String),
}

impl From<CloudError> for Problem {
    fn from(error: CloudError) -> Self {
        Self::Aws(error)
    }
}

/// What a person can do about a refusal, where that is known.
fn hint(error: &CloudError) -> String {
    attention_codes::known(error).map(|(_, message)| format!("{message} ")).unwrap_or_default()
}

/// Compares the organisation with its configuration; changes nothing.
pub async fn plan(aws: &Aws, config: &Config) -> Result<Plan, Problem> {
    let clock = aws.clock();
    // Without patience: credentials that are not there do not come by waiting.
    let aws = &aws.as_administrator().await?;
    let acting_as = retry_while_busy(clock, || aws.acting_as()).await?;

    let organization = retry_while_busy(clock, || aws.organization_facts()).await?;
    let configured = &config.organization.management_account_id;
    if organization.management_account_id != configured.as_str() {
        return Err(Problem::AnotherOrganization {
            configured: configured.clone(),
            found: organization.management_account_id,
        });
    }
    if !organization.all_features {
        return Err(Problem::BillingOnly);
    }

    let mut plan = Plan { acting_as, actions: Vec::new(), warnings: Vec::new(), known: Ids::default() };
    guardrails::plan(aws, config, &mut plan).await?;
    access::plan(aws, config, &mut plan).await?;
    warnings::collect(aws, config, &mut plan).await?;
    Ok(plan)
}
