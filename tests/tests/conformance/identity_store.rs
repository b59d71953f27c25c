//! Test cases of the Identity Store, the directory of Identity Center: groups, users and memberships.

use aws_sdk_identitystore::types::{AlternateIdentifier, Email, MemberId, Name, UniqueAttribute};

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::Cloud;
use super::identity_center::instance;

cases![
    a_group_is_found_by_its_name,
    an_unknown_group_is_not_found,
    a_group_name_is_unique,
    a_user_is_found_by_name,
    an_unknown_user_is_not_found,
    a_user_name_is_unique,
    a_user_without_a_display_name_is_rejected,
    a_membership_is_unique,
    a_membership_in_an_unknown_group_is_rejected,
    an_unknown_identity_store_is_rejected,
];

async fn a_group_is_found_by_its_name(cloud: Cloud) -> Observed {
    let store = instance(&cloud).await?.identity_store;
    let created = group(&cloud, &store, "helpers").await?;
    let found = find_group(&cloud, &store, "helpers").await?;
    Ok(if created == found { "the one that was created" } else { "another" }.to_owned())
}

async fn an_unknown_group_is_not_found(cloud: Cloud) -> Observed {
    find_group(&cloud, &instance(&cloud).await?.identity_store, "unknown").await.map(accepted)
}

async fn a_group_name_is_unique(cloud: Cloud) -> Observed {
    let store = instance(&cloud).await?.identity_store;
    group(&cloud, &store, "helpers").await?;
    group(&cloud, &store, "helpers").await.map(accepted)
}

async fn a_user_is_found_by_name(cloud: Cloud) -> Observed {
    let store = instance(&cloud).await?.identity_store;
    let created = user(&cloud, &store, "ada@example.com").await?;
    let found = find_user(&cloud, &store, "ada@example.com").await?;
    Ok(if created == found { "the one that was created" } else { "another" }.to_owned())
}

async fn an_unknown_user_is_not_found(cloud: Cloud) -> Observed {
    find_user(&cloud, &instance(&cloud).await?.identity_store, "unknown@example.com").await.map(accepted)
}

async fn a_user_name_is_unique(cloud: Cloud) -> Observed {
    let store = instance(&cloud).await?.identity_store;
    user(&cloud, &store, "ada@example.com").await?;
    user(&cloud, &store, "ada@example.com").await.map(accepted)
}

async fn a_user_without_a_display_name_is_rejected(cloud: Cloud) -> Observed {
    let call = cloud.identity_store().create_user().identity_store_id(instance(&cloud).await?.identity_store);
    Ok(call.user_name("ada@example.com").send().await.map(accepted)?)
}

async fn a_membership_is_unique(cloud: Cloud) -> Observed {
    let store = instance(&cloud).await?.identity_store;
    let (group, user) = (group(&cloud, &store, "helpers").await?, user(&cloud, &store, "ada@example.com").await?);
    add_to_group(&cloud, &store, &group, &user).await?;
    add_to_group(&cloud, &store, &group, &user).await
}

async fn a_membership_in_an_unknown_group_is_rejected(cloud: Cloud) -> Observed {
    let store = instance(&cloud).await?.identity_store;
    let user = user(&cloud, &store, "ada@example.com").await?;
    add_to_group(&cloud, &store, "11112222-3333-4444-5555-666677778888", &user).await
}

async fn an_unknown_identity_store_is_rejected(cloud: Cloud) -> Observed {
    group(&cloud, "d-0000000000", "helpers").await.map(accepted)
}

/// Creates a group and returns its id.
pub(crate) async fn group(cloud: &Cloud, store: &str, name: &str) -> Result<String, Failure> {
    let call = cloud.identity_store().create_group().identity_store_id(store).display_name(name);
    Ok(call.send().await?.group_id)
}

async fn user(cloud: &Cloud, store: &str, name: &str) -> Result<String, Failure> {
    let call = cloud.identity_store().create_user().identity_store_id(store).user_name(name).display_name("Ada");
    let call = call.name(Name::builder().given_name("Ada").family_name("Example").build());
    let call = call.emails(Email::builder().value(name).primary(true).build());
    Ok(call.send().await?.user_id)
}

async fn add_to_group(cloud: &Cloud, store: &str, group: &str, user: &str) -> Observed {
    let call = cloud.identity_store().create_group_membership().identity_store_id(store).group_id(group);
    Ok(call.member_id(MemberId::UserId(user.to_owned())).send().await.map(accepted)?)
}

async fn find_group(cloud: &Cloud, store: &str, name: &str) -> Observed {
    let call = cloud.identity_store().get_group_id().identity_store_id(store);
    Ok(call.alternate_identifier(unique_attribute("displayName", name)?).send().await?.group_id)
}

async fn find_user(cloud: &Cloud, store: &str, name: &str) -> Observed {
    let call = cloud.identity_store().get_user_id().identity_store_id(store);
    Ok(call.alternate_identifier(unique_attribute("userName", name)?).send().await?.user_id)
}

fn unique_attribute(path: &str, value: &str) -> Result<AlternateIdentifier, Failure> {
    let attribute = UniqueAttribute::builder().attribute_path(path).attribute_value(value.into()).build();
    attribute.map(AlternateIdentifier::UniqueAttribute).map_err(|error| Failure(error.to_string()))
}
