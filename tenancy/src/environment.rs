//! An environment: one isolated installation of a tenant, in an AWS account of its own.

use chrono::{DateTime, Utc};

use crate::words::words;
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, OperationId, Region, ResidencyName, TenantId};

words! {
    /// Where an environment stands; written only together with the operation that it follows from.
    EnvironmentState {
        /// Being prepared.
        Onboarding = "onboarding",
        /// Verified: it answers.
        Ready = "ready",
        /// Waits for a person.
        NeedsAttention = "needs_attention",
        /// Suspended: nobody gets in, and it can be restored until its cooling-off period ends.
        Offboarding = "offboarding",
        /// Being brought back to what it should be.
        Restoring = "restoring",
        /// Gone.
        Offboarded = "offboarded",
    }
}

/// One isolated installation of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// `env_…`
    pub id: EnvironmentId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// `production`, `staging`, …
    pub name: EnvironmentName,
    /// The named set of regions that it may use.
    pub residency: ResidencyName,
    /// Where its stack runs first.
    pub home_region: Region,
    /// Where it stands.
    pub state: EnvironmentState,
    /// Its AWS account, once that is known for certain.
    pub aws_account_id: Option<AwsAccountId>,
    /// Its open operation, or its latest.
    pub operation_id: OperationId,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was first verified.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it was gone.
    pub offboarded_at: Option<DateTime<Utc>>,
}

/// What the account of an environment is called in AWS: the company, as far as ASCII and 50 characters go, and the
/// environment's id, by which a creation is found again (its status carries neither e-mail address nor tags).
pub fn account_name(company: &str, environment: EnvironmentId) -> String {
    const LONGEST: usize = 50;
    let id = environment.to_string();
    let printable: String = company.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let room = LONGEST - id.len() - 1;
    let company: String = printable.trim().chars().take(room).collect();
    format!("{} {id}", company.trim_end()).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_fits_aws_and_holds_the_environment() {
        let environment = EnvironmentId::new(DateTime::UNIX_EPOCH);
        for company in ["Example", "Müller & Söhne Gesellschaft mit beschränkter Haftung", "株式会社"] {
            let name = account_name(company, environment);
            assert!((1..=50).contains(&name.len()), "{name} has {} characters", name.len());
            assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name} is not ASCII");
            assert!(name.ends_with(&environment.to_string()), "{name} does not name its environment");
        }
    }
}
