//! AWS Account Management calls that read and enable the opt-in regions of an account.

use aws_sdk_account::Client;
use aws_sdk_account::types::RegionOptStatus;
use freehold_tenancy::Region;

use super::Aws;
use super::call::missing_field;
use super::sts::Session;
use crate::cloud::{RegionStatus, Result, Target};

/// Region of the single endpoint of AWS Account Management.
const REGION: &str = "us-east-1";

pub(super) fn client(session: &Session) -> Client {
    session.client(REGION, Client::new)
}

impl Aws {
    /// Returns the opt-in status of a region in an account.
    pub async fn region_status(&self, account: &Target, region: Region) -> Result<RegionStatus> {
        const CALL: &str = "account:GetRegionOptStatus";
        let session = self.control_session().await?;
        let request =
            client(&session).get_region_opt_status().account_id(account.id().as_str()).region_name(region.as_str());
        let response = self.send(&session, CALL, request.send()).await?;
        response.region_opt_status.as_ref().map(status).ok_or_else(|| missing_field(CALL, "status"))
    }

    /// Requests the opt-in to a region.
    pub async fn enable_region(&self, account: &Target, region: Region) -> Result<()> {
        const CALL: &str = "account:EnableRegion";
        self.check_own_account(account, CALL).await?;
        let session = self.control_session().await?;
        let request = client(&session).enable_region().account_id(account.id().as_str()).region_name(region.as_str());
        match self.send(&session, CALL, request.send()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain_denial(account, error).await),
        }
    }
}

fn status(status: &RegionOptStatus) -> RegionStatus {
    match status {
        RegionOptStatus::Enabled | RegionOptStatus::EnabledByDefault => RegionStatus::Enabled,
        RegionOptStatus::Disabling => RegionStatus::Disabling,
        RegionOptStatus::Disabled => RegionStatus::Disabled,
        // A status that this version does not know is polled until the step's deadline.
        _ => RegionStatus::Enabling,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_region_status_counts_as_enabling() {
        let status = |text: &str| status(&RegionOptStatus::from(text));
        assert_eq!(status("ENABLED_BY_DEFAULT"), RegionStatus::Enabled);
        assert_eq!(status("DISABLED"), RegionStatus::Disabled);
        assert_eq!(status("FUTURE_STATUS"), RegionStatus::Enabling);
    }
}
