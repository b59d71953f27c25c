//! Test cases of AWS STS: assumed roles and session durations.

use aws_credential_types::Credentials;
use aws_sdk_cloudformation::types::Capability;

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::{ACCESS_ROLE, Cloud, Member};
use super::cloudformation::final_state;

cases![
    a_role_gives_access_to_an_account,
    the_arn_of_a_session_contains_role_and_session_name,
    an_unknown_role_cannot_be_assumed,
    a_role_in_an_external_account_cannot_be_assumed,
    a_member_cannot_assume_the_access_role_of_another_member,
    a_chained_session_of_over_an_hour_is_rejected,
    a_chained_session_can_last_an_hour,
    a_session_cannot_exceed_the_maximum_duration_of_the_role,
    a_session_of_under_15_minutes_is_rejected,
    a_session_of_over_12_hours_is_rejected,
    a_session_name_with_blanks_is_rejected,
    a_long_session_policy_is_rejected,
    a_role_can_require_an_external_id,
    an_unknown_access_key_is_rejected,
];

const ROLE: &str = "patient";

async fn a_role_gives_access_to_an_account(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    let caller = cloud.sts_as(&member.credentials).get_caller_identity().send().await?;
    Ok(if caller.account.as_ref() == Some(&member.id) { "the member" } else { "another account" }.to_owned())
}

async fn the_arn_of_a_session_contains_role_and_session_name(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    let caller = cloud.sts_as(&member.credentials).get_caller_identity().send().await?;
    Ok(caller.arn.unwrap_or_default().replace(&member.id, "<member>"))
}

async fn an_unknown_role_cannot_be_assumed(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    cloud.assume(&cloud.management, &member.id, "unknown").await.map(accepted)
}

async fn a_role_in_an_external_account_cannot_be_assumed(cloud: Cloud) -> Observed {
    cloud.assume(&cloud.management, "999988887777", ACCESS_ROLE).await.map(accepted)
}

// The access role trusts the management account only.
async fn a_member_cannot_assume_the_access_role_of_another_member(cloud: Cloud) -> Observed {
    let (one, two) = (cloud.create_member("one").await?, cloud.create_member("two").await?);
    cloud.assume(&one.credentials, &two.id, ACCESS_ROLE).await.map(accepted)
}

async fn a_chained_session_of_over_an_hour_is_rejected(cloud: Cloud) -> Observed {
    assume_chained_role(&cloud, 3_601).await
}

async fn a_chained_session_can_last_an_hour(cloud: Cloud) -> Observed {
    assume_chained_role(&cloud, 3_600).await
}

async fn a_session_cannot_exceed_the_maximum_duration_of_the_role(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    assume_role_for(&cloud, &cloud.management, &member.id, ACCESS_ROLE, 7_200).await
}

async fn a_session_of_under_15_minutes_is_rejected(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    assume_role_for(&cloud, &cloud.management, &member.id, ACCESS_ROLE, 899).await
}

async fn a_session_of_over_12_hours_is_rejected(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    assume_role_for(&cloud, &cloud.management, &member.id, ACCESS_ROLE, 43_201).await
}

async fn a_session_name_with_blanks_is_rejected(cloud: Cloud) -> Observed {
    let arn = format!("arn:aws:iam::{}:role/{ACCESS_ROLE}", cloud.create_member("a").await?.id);
    Ok(cloud.sts().assume_role().role_arn(arn).role_session_name("a b").send().await.map(accepted)?)
}

async fn a_long_session_policy_is_rejected(cloud: Cloud) -> Observed {
    let arn = format!("arn:aws:iam::{}:role/{ACCESS_ROLE}", cloud.create_member("a").await?.id);
    let statement = r#"{"Effect":"Allow","Action":"cloudformation:DescribeStacks","Resource":"*"}"#;
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, [statement; 30].join(","));
    let call = cloud.sts().assume_role().role_arn(arn).role_session_name("long").policy(policy);
    Ok(call.send().await.map(accepted)?)
}

async fn an_unknown_access_key_is_rejected(cloud: Cloud) -> Observed {
    let unknown = Credentials::new("AKIASTRANGER99999999", "secret", None, None, "conformance");
    Ok(cloud.sts_as(&unknown).get_caller_identity().send().await.map(accepted)?)
}

async fn a_role_can_require_an_external_id(cloud: Cloud) -> Observed {
    let member =
        create_member_with_role(&cloud, r#""Condition": {"StringEquals": {"sts:ExternalId": "secret"}},"#).await?;
    let arn = format!("arn:aws:iam::{}:role/{ROLE}", member.id);
    let call = cloud.sts_as(&member.credentials).assume_role().role_arn(arn).role_session_name("external");
    let without = call.clone().send().await.map(accepted).map_err(Failure::from);
    let with = call.external_id("secret").send().await.map(accepted).map_err(Failure::from);
    let [without, with] = [without, with].map(|outcome| outcome.unwrap_or_else(|Failure(code)| code));
    Ok(format!("without {without}, with {with}"))
}

/// Assumes a role with the credentials of another role (role chaining). The target role allows sessions of twelve
/// hours.
async fn assume_chained_role(cloud: &Cloud, seconds: i32) -> Observed {
    let member = create_member_with_role(cloud, "").await?;
    assume_role_for(cloud, &member.credentials, &member.id, ROLE, seconds).await
}

/// Creates a member account with the role [`ROLE`], which every principal of the account may assume if `condition` is
/// met.
async fn create_member_with_role(cloud: &Cloud, condition: &str) -> Result<Member, Failure> {
    let member = cloud.create_member("a").await?;
    let template = r#"{"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "patient",
        "MaxSessionDuration": 43200,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{CONDITION
            "Effect": "Allow", "Principal": {"AWS": {"Ref": "AWS::AccountId"}}, "Action": "sts:AssumeRole"}]}}}}}"#;
    let cloudformation = cloud.cloudformation(&member);
    let call = cloudformation.create_stack().stack_name(ROLE).template_body(template.replace("CONDITION", condition));
    call.capabilities(Capability::CapabilityNamedIam).send().await?;
    final_state(cloud, &cloudformation, ROLE).await?;
    Ok(member)
}

async fn assume_role_for(
    cloud: &Cloud,
    credentials: &Credentials,
    account: &str,
    role: &str,
    seconds: i32,
) -> Observed {
    let arn = format!("arn:aws:iam::{account}:role/{role}");
    let call = cloud.sts_as(credentials).assume_role().role_arn(arn).role_session_name("long");
    Ok(call.duration_seconds(seconds).send().await.map(accepted)?)
}
