//! Account mapping: the record of the environment that an AWS account belongs to.

use chrono::{DateTime, Utc};

use crate::{AwsAccountId, EnvironmentId, EnvironmentName, ExternalId, MappingId, Region, TenantId, Tier};

/// Record of the environment that an AWS account belongs to, with the fields that billing needs.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountMapping {
    pub id: MappingId,
    pub tenant_id: TenantId,
    pub company_name: String,
    /// Id of the tenant in the SaaS.
    pub external_id: Option<ExternalId>,
    pub tier: Tier,
    pub environment_id: EnvironmentId,
    pub environment: EnvironmentName,
    pub home_region: Region,
    /// Replica regions that the environment has now, in the order of their slots.
    pub replica_regions: Vec<Region>,
    pub aws_account_id: AwsAccountId,
    pub valid_from: DateTime<Utc>,
    /// End of the mapping; `None` while the mapping is current.
    pub valid_to: Option<DateTime<Utc>>,
}
