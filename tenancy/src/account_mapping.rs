//! Account mapping: the record of the environment that an AWS account belongs to, with the state of the account.

use chrono::{DateTime, Utc};

use crate::string_enum::string_enum;
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, ExternalId, MappingId, Region, TenantId, Tier};

string_enum! {
    /// State of the AWS account of a mapping, as far as Freehold knows.
    AccountState {
        /// The account belongs to the environment.
        InUse = "in_use",
        /// The account belongs to no environment any more, but is still active in AWS and can cause costs.
        ReleasedActive = "released_active",
        /// AWS is closing the account.
        Closing = "closing",
        /// AWS has closed the account.
        Closed = "closed",
        /// AWS has suspended the account.
        Suspended = "suspended",
        /// The account is no longer in the organisation, so its state is unknown and another account pays for it.
        LeftOrganization = "left_organization",
        /// The account belongs to no environment any more, and Freehold has not seen it since.
        Unknown = "unknown",
    }
}

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
    pub account_state: AccountState,
    /// Time at which Freehold first saw the account in this state; `None` while it is in use or unknown.
    pub account_state_since: Option<DateTime<Utc>>,
    /// Time at which Freehold last saw the account in this state; `None` while it is in use or unknown.
    pub account_seen_at: Option<DateTime<Utc>>,
}
