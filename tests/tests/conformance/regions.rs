//! Test cases of AWS Account Management: opt-in regions of member accounts.

use aws_sdk_account::types::RegionOptStatus;

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::Cloud;

cases![
    a_default_region_is_enabled,
    an_opt_in_region_is_disabled_by_default,
    enabling_a_region_takes_time,
    an_opt_in_region_becomes_enabled,
    a_region_being_enabled_cannot_be_enabled_again,
    an_unknown_region_cannot_be_enabled,
    reading_another_account_requires_trusted_access,
    a_member_can_read_its_own_regions,
    a_disabled_region_rejects_all_credentials,
];

/// Region that is disabled by default.
const OPT_IN_REGION: &str = "me-central-1";

async fn a_default_region_is_enabled(cloud: Cloud) -> Observed {
    let account = create_account_with_trusted_access(&cloud).await?;
    status(&cloud, &account, "eu-central-1").await
}

async fn an_opt_in_region_is_disabled_by_default(cloud: Cloud) -> Observed {
    let account = create_account_with_trusted_access(&cloud).await?;
    status(&cloud, &account, OPT_IN_REGION).await
}

async fn enabling_a_region_takes_time(cloud: Cloud) -> Observed {
    let account = create_account_with_trusted_access(&cloud).await?;
    enable(&cloud, &account, OPT_IN_REGION).await?;
    status(&cloud, &account, OPT_IN_REGION).await
}

async fn an_opt_in_region_becomes_enabled(cloud: Cloud) -> Observed {
    let account = create_account_with_trusted_access(&cloud).await?;
    enable(&cloud, &account, OPT_IN_REGION).await?;
    let enabling = RegionOptStatus::Enabling.as_str();
    cloud
        .poll_until(async || Ok(Some(status(&cloud, &account, OPT_IN_REGION).await?).filter(|now| now != enabling)))
        .await
}

async fn a_region_being_enabled_cannot_be_enabled_again(cloud: Cloud) -> Observed {
    let account = create_account_with_trusted_access(&cloud).await?;
    enable(&cloud, &account, OPT_IN_REGION).await?;
    enable(&cloud, &account, OPT_IN_REGION).await
}

async fn an_unknown_region_cannot_be_enabled(cloud: Cloud) -> Observed {
    let account = create_account_with_trusted_access(&cloud).await?;
    enable(&cloud, &account, "eu-nowhere-1").await
}

async fn reading_another_account_requires_trusted_access(cloud: Cloud) -> Observed {
    let account = cloud.new_account("a").await?;
    status(&cloud, &account, OPT_IN_REGION).await
}

async fn a_member_can_read_its_own_regions(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    let answer =
        cloud.account_as(&member.credentials).get_region_opt_status().region_name(OPT_IN_REGION).send().await?;
    Ok(answer.region_opt_status.map_or("no status", |status| name(&status)).to_owned())
}

async fn a_disabled_region_rejects_all_credentials(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    Ok(cloud.cloudformation_in(&member, OPT_IN_REGION).list_stacks().send().await.map(accepted)?)
}

/// Enables trusted access, so that the management account can change the regions of member accounts, and creates a
/// member account.
async fn create_account_with_trusted_access(cloud: &Cloud) -> Result<String, Failure> {
    cloud.organizations().enable_aws_service_access().service_principal("account.amazonaws.com").send().await?;
    cloud.new_account("a").await
}

async fn enable(cloud: &Cloud, account: &str, region: &str) -> Observed {
    let call = cloud.account_as(&cloud.management).enable_region().account_id(account);
    Ok(call.region_name(region).send().await.map(accepted)?)
}

async fn status(cloud: &Cloud, account: &str, region: &str) -> Observed {
    let call = cloud.account_as(&cloud.management).get_region_opt_status().account_id(account);
    let answer = call.region_name(region).send().await?;
    Ok(answer.region_opt_status.map_or("no status", |status| name(&status)).to_owned())
}

fn name(status: &RegionOptStatus) -> &'static str {
    match status {
        RegionOptStatus::Disabled => "DISABLED",
        RegionOptStatus::Disabling => "DISABLING",
        RegionOptStatus::Enabled => "ENABLED",
        RegionOptStatus::EnabledByDefault => "ENABLED_BY_DEFAULT",
        RegionOptStatus::Enabling => "ENABLING",
        _ => "another",
    }
}
