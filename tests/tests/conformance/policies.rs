//! Test cases of creating, attaching and deleting service control policies; `guardrails.rs` tests the effects of the
//! policies.

use aws_sdk_organizations::types::PolicyType;

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::Cloud;

cases![
    a_policy_type_must_be_enabled_first,
    a_policy_type_cannot_be_enabled_twice,
    a_policy_name_is_unique,
    a_policy_that_is_not_json_is_rejected,
    a_policy_with_an_invalid_statement_is_rejected,
    a_policy_of_10241_characters_is_too_long,
    a_policy_cannot_be_attached_twice,
    an_unknown_policy_cannot_be_attached,
    a_policy_cannot_be_attached_to_an_unknown_target,
    a_policy_that_is_not_attached_cannot_be_detached,
    an_eleventh_policy_cannot_be_attached,
    the_last_policy_cannot_be_detached,
    full_access_is_attached_to_a_new_unit,
    an_attached_policy_cannot_be_deleted,
];

/// Valid service control policy that denies only an action that no test uses.
pub(super) const HARMLESS_POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"gamelift:*","Resource":"*"}]}"#;

async fn a_policy_type_must_be_enabled_first(cloud: Cloud) -> Observed {
    let (policy, root) = (policy(&cloud, "p", HARMLESS_POLICY).await?, cloud.root().await?);
    Ok(cloud.organizations().attach_policy().policy_id(policy).target_id(root).send().await.map(accepted)?)
}

async fn a_policy_type_cannot_be_enabled_twice(cloud: Cloud) -> Observed {
    let call = cloud.organizations().enable_policy_type().root_id(cloud.root().await?);
    let call = call.policy_type(PolicyType::ServiceControlPolicy);
    _ = call.clone().send().await;
    Ok(call.send().await.map(accepted)?)
}

async fn a_policy_name_is_unique(cloud: Cloud) -> Observed {
    policy(&cloud, "same", HARMLESS_POLICY).await?;
    policy(&cloud, "same", HARMLESS_POLICY).await.map(accepted)
}

async fn a_policy_that_is_not_json_is_rejected(cloud: Cloud) -> Observed {
    policy(&cloud, "p", "deny everything, please").await.map(accepted)
}

async fn a_policy_with_an_invalid_statement_is_rejected(cloud: Cloud) -> Observed {
    policy(&cloud, "p", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*"}]}"#)
        .await
        .map(accepted)
}

async fn a_policy_of_10241_characters_is_too_long(cloud: Cloud) -> Observed {
    let padding = " ".repeat(10_241 - HARMLESS_POLICY.len());
    policy(&cloud, "p", &HARMLESS_POLICY.replacen('{', &format!("{{{padding}"), 1)).await.map(accepted)
}

async fn a_policy_cannot_be_attached_twice(cloud: Cloud) -> Observed {
    let (policy, root) = (policy(&cloud, "p", HARMLESS_POLICY).await?, cloud.root().await?);
    attach(&cloud, &policy, &root).await?;
    attach(&cloud, &policy, &root).await
}

async fn an_unknown_policy_cannot_be_attached(cloud: Cloud) -> Observed {
    attach(&cloud, "p-00000000", &cloud.root().await?).await
}

async fn a_policy_cannot_be_attached_to_an_unknown_target(cloud: Cloud) -> Observed {
    let policy = policy(&cloud, "p", HARMLESS_POLICY).await?;
    attach(&cloud, &policy, "ou-abcd-00000000").await
}

async fn a_policy_that_is_not_attached_cannot_be_detached(cloud: Cloud) -> Observed {
    enable(&cloud).await?;
    let (policy, root) = (policy(&cloud, "p", HARMLESS_POLICY).await?, cloud.root().await?);
    Ok(cloud.organizations().detach_policy().policy_id(policy).target_id(root).send().await.map(accepted)?)
}

async fn an_eleventh_policy_cannot_be_attached(cloud: Cloud) -> Observed {
    let unit = cloud.create_ou(&cloud.root().await?, "eu").await?;
    // A new unit already has one policy, `FullAWSAccess`.
    for number in 0..9 {
        let policy = policy(&cloud, &format!("p{number}"), HARMLESS_POLICY).await?;
        attach(&cloud, &policy, &unit).await?;
    }
    let one_more = policy(&cloud, "one more", HARMLESS_POLICY).await?;
    attach(&cloud, &one_more, &unit).await
}

async fn the_last_policy_cannot_be_detached(cloud: Cloud) -> Observed {
    enable(&cloud).await?;
    let unit = cloud.create_ou(&cloud.root().await?, "eu").await?;
    Ok(cloud.organizations().detach_policy().policy_id("p-FullAWSAccess").target_id(unit).send().await.map(accepted)?)
}

async fn full_access_is_attached_to_a_new_unit(cloud: Cloud) -> Observed {
    enable(&cloud).await?;
    let unit = cloud.create_ou(&cloud.root().await?, "eu").await?;
    let call = cloud.organizations().list_policies_for_target().target_id(unit);
    let policies = call.filter(PolicyType::ServiceControlPolicy).send().await?.policies.unwrap_or_default();
    Ok(policies.into_iter().filter_map(|policy| policy.name).collect::<Vec<_>>().join(", "))
}

async fn an_attached_policy_cannot_be_deleted(cloud: Cloud) -> Observed {
    let (policy, root) = (policy(&cloud, "p", HARMLESS_POLICY).await?, cloud.root().await?);
    attach(&cloud, &policy, &root).await?;
    Ok(cloud.organizations().delete_policy().policy_id(policy).send().await.map(accepted)?)
}

/// Creates a policy and returns its id.
pub(super) async fn policy(cloud: &Cloud, name: &str, content: &str) -> Result<String, Failure> {
    let call = cloud.organizations().create_policy().name(name).description("").content(content);
    let created = call.r#type(PolicyType::ServiceControlPolicy).send().await?.policy;
    let summary = created.and_then(|policy| policy.policy_summary);
    summary.and_then(|summary| summary.id).ok_or_else(|| Failure("no policy".to_owned()))
}

/// Enables service control policies and attaches a policy.
pub(super) async fn attach(cloud: &Cloud, policy: &str, target: &str) -> Observed {
    enable(cloud).await?;
    Ok(cloud.organizations().attach_policy().policy_id(policy).target_id(target).send().await.map(accepted)?)
}

async fn enable(cloud: &Cloud) -> Result<(), Failure> {
    let call = cloud.organizations().enable_policy_type().root_id(cloud.root().await?);
    match call.policy_type(PolicyType::ServiceControlPolicy).send().await.map_err(Failure::from) {
        Err(Failure(code)) if code != "PolicyTypeAlreadyEnabledException" => Err(Failure(code)),
        _ => Ok(()),
    }
}
