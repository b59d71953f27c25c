//! Account mappings: which AWS account belongs to which environment.

use chrono::{DateTime, Utc};

use crate::{AwsAccountId, EnvironmentId, EnvironmentName, ExternalId, MappingId, Region, TenantId, Tier};

/// The record of which environment an AWS account belongs to, with the fields that billing needs.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountMapping {
    /// `map_…`
    pub id: MappingId,
    pub tenant_id: TenantId,
    pub company_name: String,
    /// The id of the tenant in the SaaS.
    pub external_id: Option<ExternalId>,
    /// The commercial plan of the tenant.
    pub tier: Tier,
    pub environment_id: EnvironmentId,
    /// Name of the environment.
    pub environment: EnvironmentName,
    pub home_region: Region,
    pub aws_account_id: AwsAccountId,
    pub valid_from: DateTime<Utc>,
    /// `None` while the mapping is current.
    pub valid_to: Option<DateTime<Utc>>,
}
