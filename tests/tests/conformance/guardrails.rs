//! What service control policies do to whom.

use super::case::{Failure, Observed, accepted, cases, in_words};
use super::cloud::{Cloud, Member};
use super::policies::{attach, policy};

cases![
    a_denied_region_is_denied,
    an_allowed_region_is_allowed,
    a_guardrail_binds_from_the_moment_of_the_move,
    a_guardrail_on_another_unit_binds_nobody_here,
    the_management_account_is_above_guardrails,
    an_exempted_role_is_exempt,
];

const ELSEWHERE: &str = "us-west-2";

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

async fn a_denied_region_is_denied(cloud: Cloud) -> Observed {
    let member = guarded(&cloud, "nobody").await?;
    settle(&cloud).await;
    look(&cloud, &member, ELSEWHERE).await
}

async fn an_allowed_region_is_allowed(cloud: Cloud) -> Observed {
    let member = guarded(&cloud, "nobody").await?;
    settle(&cloud).await;
    look(&cloud, &member, "eu-west-1").await
}

async fn a_guardrail_binds_from_the_moment_of_the_move(cloud: Cloud) -> Observed {
    let (member, unit) = unguarded(&cloud, "nobody").await?;
    let before = look(&cloud, &member, ELSEWHERE).await.unwrap_or_else(|Failure(code)| code);
    move_to(&cloud, &member, &unit).await?;
    settle(&cloud).await;
    let after = look(&cloud, &member, ELSEWHERE).await.unwrap_or_else(|Failure(code)| code);
    Ok(format!("{before}, then {after}"))
}

async fn a_guardrail_on_another_unit_binds_nobody_here(cloud: Cloud) -> Observed {
    let (member, _) = unguarded(&cloud, "nobody").await?;
    let other = cloud.unit(&cloud.root().await?, "other").await?;
    move_to(&cloud, &member, &other).await?;
    settle(&cloud).await;
    look(&cloud, &member, ELSEWHERE).await
}

async fn the_management_account_is_above_guardrails(cloud: Cloud) -> Observed {
    let deny_all =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"organizations:List*","Resource":"*"}]}"#;
    attach(&cloud, &policy(&cloud, "deny", deny_all).await?, &cloud.root().await?).await?;
    settle(&cloud).await;
    Ok(cloud.organizations().list_accounts().send().await.map(accepted)?)
}

async fn an_exempted_role_is_exempt(cloud: Cloud) -> Observed {
    let member = guarded(&cloud, super::cloud::ACCESS_ROLE).await?;
    settle(&cloud).await;
    look(&cloud, &member, ELSEWHERE).await
}

/// A member in a unit whose guardrail spares only the role `exempt`.
async fn guarded(cloud: &Cloud, exempt: &str) -> Result<Member, Failure> {
    let (member, unit) = unguarded(cloud, exempt).await?;
    move_to(cloud, &member, &unit).await?;
    Ok(member)
}

/// A member still in the root, and the unit with the guardrail.
async fn unguarded(cloud: &Cloud, exempt: &str) -> Result<(Member, String), Failure> {
    let unit = cloud.unit(&cloud.root().await?, "eu").await?;
    attach(cloud, &policy(cloud, "eu", &region_guardrail(exempt)).await?, &unit).await?;
    Ok((cloud.member("a").await?, unit))
}

async fn move_to(cloud: &Cloud, member: &Member, unit: &str) -> Result<(), Failure> {
    let call = cloud.organizations().move_account().account_id(&member.id);
    call.source_parent_id(cloud.root().await?).destination_parent_id(unit).send().await?;
    Ok(())
}

/// Policies take effect after a while.
async fn settle(cloud: &Cloud) {
    for _ in 0..4 {
        cloud.pause().await;
    }
}

async fn look(cloud: &Cloud, member: &Member, region: &'static str) -> Observed {
    let answer = cloud.cloudformation_in(member, region).list_stacks().send().await;
    answer.map(accepted).map_err(|error| {
        // `verify` tells a guardrail from any other refusal by these words.
        let Failure(words) = in_words(error);
        let (code, message) = words.split_once(": ").unwrap_or((&words, ""));
        let why = if message.contains("explicit deny in a service control policy") { "guardrail" } else { "unclear" };
        Failure(format!("{code} ({why})"))
    })
}
