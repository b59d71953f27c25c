//! Test cases of the effects of service control policies.

use super::case::{Failure, Observed, accepted, cases, with_message};
use super::cloud::{Cloud, Member};
use super::policies::{attach, policy};

cases![
    calls_in_a_denied_region_are_denied,
    calls_in_an_allowed_region_are_allowed,
    a_guardrail_applies_after_an_account_is_moved_to_the_ou,
    a_guardrail_of_another_ou_has_no_effect,
    the_management_account_is_exempt_from_guardrails,
    a_role_can_be_exempt_from_a_guardrail,
];

const DENIED_REGION: &str = "us-west-2";

fn region_guardrail(exempt: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "NotAction": ["iam:*", "organizations:*", "sts:*"],
            "Resource": "*",
            "Condition": {
                "StringNotEquals": { "aws:RequestedRegion": ["eu-central-1", "eu-west-1"] },
                "ArnNotLike": { "aws:PrincipalARN": [format!("arn:aws:iam::*:role/{exempt}")] },
            },
        }],
    })
    .to_string()
}

async fn calls_in_a_denied_region_are_denied(cloud: Cloud) -> Observed {
    let member = create_member_with_guardrail(&cloud, "unknown").await?;
    wait_until_policies_apply(&cloud).await;
    list_stacks(&cloud, &member, DENIED_REGION).await
}

async fn calls_in_an_allowed_region_are_allowed(cloud: Cloud) -> Observed {
    let member = create_member_with_guardrail(&cloud, "unknown").await?;
    wait_until_policies_apply(&cloud).await;
    list_stacks(&cloud, &member, "eu-west-1").await
}

async fn a_guardrail_applies_after_an_account_is_moved_to_the_ou(cloud: Cloud) -> Observed {
    let (member, unit) = create_member_and_guarded_ou(&cloud, "unknown").await?;
    let before = list_stacks(&cloud, &member, DENIED_REGION).await.unwrap_or_else(|Failure(code)| code);
    move_to(&cloud, &member, &unit).await?;
    wait_until_policies_apply(&cloud).await;
    let after = list_stacks(&cloud, &member, DENIED_REGION).await.unwrap_or_else(|Failure(code)| code);
    Ok(format!("{before}, then {after}"))
}

async fn a_guardrail_of_another_ou_has_no_effect(cloud: Cloud) -> Observed {
    let (member, _) = create_member_and_guarded_ou(&cloud, "unknown").await?;
    let other = cloud.create_ou(&cloud.root().await?, "other").await?;
    move_to(&cloud, &member, &other).await?;
    wait_until_policies_apply(&cloud).await;
    list_stacks(&cloud, &member, DENIED_REGION).await
}

async fn the_management_account_is_exempt_from_guardrails(cloud: Cloud) -> Observed {
    let deny_all =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"organizations:List*","Resource":"*"}]}"#;
    attach(&cloud, &policy(&cloud, "deny", deny_all).await?, &cloud.root().await?).await?;
    wait_until_policies_apply(&cloud).await;
    Ok(cloud.organizations().list_accounts().send().await.map(accepted)?)
}

async fn a_role_can_be_exempt_from_a_guardrail(cloud: Cloud) -> Observed {
    let member = create_member_with_guardrail(&cloud, super::cloud::ACCESS_ROLE).await?;
    wait_until_policies_apply(&cloud).await;
    list_stacks(&cloud, &member, DENIED_REGION).await
}

/// Creates a member account in an OU whose guardrail exempts only the role `exempt`.
async fn create_member_with_guardrail(cloud: &Cloud, exempt: &str) -> Result<Member, Failure> {
    let (member, unit) = create_member_and_guarded_ou(cloud, exempt).await?;
    move_to(cloud, &member, &unit).await?;
    Ok(member)
}

/// Creates a member account outside the OU that has the guardrail. Returns the account and the id of the OU.
async fn create_member_and_guarded_ou(cloud: &Cloud, exempt: &str) -> Result<(Member, String), Failure> {
    let unit = cloud.create_ou(&cloud.root().await?, "eu").await?;
    attach(cloud, &policy(cloud, "eu", &region_guardrail(exempt)).await?, &unit).await?;
    Ok((cloud.create_member("a").await?, unit))
}

async fn move_to(cloud: &Cloud, member: &Member, unit: &str) -> Result<(), Failure> {
    let call = cloud.organizations().move_account().account_id(&member.id);
    call.source_parent_id(cloud.root().await?).destination_parent_id(unit).send().await?;
    Ok(())
}

/// Waits until policies have taken effect.
async fn wait_until_policies_apply(cloud: &Cloud) {
    for _ in 0..4 {
        cloud.pause().await;
    }
}

async fn list_stacks(cloud: &Cloud, member: &Member, region: &'static str) -> Observed {
    let answer = cloud.cloudformation_in(member, region).list_stacks().send().await;
    answer.map(accepted).map_err(|error| {
        // Freehold's step `verify` uses this message to detect a denial by a guardrail.
        let Failure(words) = with_message(error);
        let (code, message) = words.split_once(": ").unwrap_or((&words, ""));
        let why = if message.contains("explicit deny in a service control policy") { "guardrail" } else { "unclear" };
        Failure(format!("{code} ({why})"))
    })
}
