//! Test cases of AWS Organizations: accounts and the tree of organizational units.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_organizations::types::{
    AccountState, CreateAccountFailureReason, CreateAccountState, CreateAccountStatus, Tag,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::Cloud;

cases![
    creating_an_account_takes_time,
    an_account_creation_status_contains_no_email,
    an_account_is_created_in_the_root,
    an_account_becomes_active,
    an_email_cannot_be_used_for_two_accounts,
    two_accounts_can_have_the_same_name,
    an_email_of_5_characters_is_too_short,
    an_email_of_65_characters_is_too_long,
    an_email_without_a_domain_is_rejected,
    a_name_of_51_characters_is_too_long,
    a_name_of_50_characters_is_accepted,
    an_account_creation_with_an_invalid_tag_is_rejected,
    a_sixth_concurrent_account_creation_is_rejected,
    an_account_creation_request_is_listed,
    an_unknown_account_creation_request_is_not_found,
    an_unknown_account_is_not_found,
    an_account_id_of_5_digits_is_rejected,
    a_page_has_20_accounts,
    a_page_of_accounts_can_have_fewer_than_20_accounts,
    a_page_of_accounts_cannot_have_21_accounts,
    an_account_is_moved_to_an_ou,
    a_move_with_a_wrong_source_parent_is_rejected,
    a_move_to_the_current_parent_is_rejected,
    a_move_to_an_unknown_ou_is_rejected,
    a_move_of_an_unknown_account_is_rejected,
    an_ou_name_is_unique_below_its_parent,
    an_ou_name_can_be_reused_below_another_parent,
    an_ou_below_an_unknown_parent_is_rejected,
    an_unknown_child_has_no_parent,
    the_tags_of_a_creation_request_are_set_on_the_account,
    a_tag_is_overwritten,
    reading_tags_of_an_unknown_account_is_rejected,
    a_member_cannot_create_accounts,
    a_member_cannot_list_accounts,
    a_closed_account_cannot_be_closed_again,
    a_new_account_cannot_leave_the_organisation,
    the_management_account_cannot_leave_the_organisation,
    an_account_in_a_list_contains_its_path,
];

async fn creating_an_account_takes_time(cloud: Cloud) -> Observed {
    let started = cloud.organizations().create_account().account_name("a").email("aws+a@example.com").send().await?;
    Ok(describe(started.create_account_status.as_ref()))
}

// Reads the raw body, because the SDK drops fields that it does not know.
async fn an_account_creation_status_contains_no_email(cloud: Cloud) -> Observed {
    let answer = RawBody::default();
    let call = cloud.organizations().create_account().account_name("a").email("aws+a@example.com").customize();
    call.interceptor(answer.clone()).send().await?;
    let body: serde_json::Value = serde_json::from_slice(&answer.body()).map_err(|error| Failure(error.to_string()))?;
    let status = body["CreateAccountStatus"].as_object().ok_or_else(|| Failure("no status".to_owned()))?;
    Ok(if status.contains_key("Email") || status.contains_key("Tags") { "e-mail or tags" } else { "neither" }
        .to_owned())
}

async fn an_account_is_created_in_the_root(cloud: Cloud) -> Observed {
    let id = cloud.new_account("a").await?;
    let parents = cloud.organizations().list_parents().child_id(id).send().await?.parents.unwrap_or_default();
    let kinds: Vec<_> = parents.iter().filter_map(|parent| Some(parent.r#type.as_ref()?.as_str())).collect();
    Ok(kinds.join(", "))
}

async fn an_account_becomes_active(cloud: Cloud) -> Observed {
    let id = cloud.new_account("a").await?;
    let account = cloud.organizations().describe_account().account_id(id).send().await?.account;
    let account = account.ok_or_else(|| Failure("no account".to_owned()))?;
    let state = account.state.as_ref().map_or("no state", AccountState::as_str);
    Ok(format!("{state}, {}, {}", account.name.unwrap_or_default(), account.email.unwrap_or_default()))
}

async fn an_email_cannot_be_used_for_two_accounts(cloud: Cloud) -> Observed {
    cloud.create_account("a", "aws+same@example.com").await?;
    let second = cloud.create_account("b", "aws+same@example.com").await?;
    Ok(describe(Some(&second)))
}

async fn two_accounts_can_have_the_same_name(cloud: Cloud) -> Observed {
    cloud.create_account("same", "aws+a@example.com").await?;
    let second = cloud.create_account("same", "aws+b@example.com").await?;
    Ok(describe(Some(&second)))
}

async fn an_email_of_5_characters_is_too_short(cloud: Cloud) -> Observed {
    request_account(&cloud, "a", "a@b.c").await
}

async fn an_email_of_65_characters_is_too_long(cloud: Cloud) -> Observed {
    request_account(&cloud, "a", &format!("{}@example.com", "a".repeat(53))).await
}

async fn an_email_without_a_domain_is_rejected(cloud: Cloud) -> Observed {
    request_account(&cloud, "a", "unknown.example.com").await
}

async fn a_name_of_51_characters_is_too_long(cloud: Cloud) -> Observed {
    request_account(&cloud, &"n".repeat(51), "aws+a@example.com").await
}

async fn a_name_of_50_characters_is_accepted(cloud: Cloud) -> Observed {
    request_account(&cloud, &"n".repeat(50), "aws+a@example.com").await
}

async fn an_account_creation_with_an_invalid_tag_is_rejected(cloud: Cloud) -> Observed {
    let call = cloud.organizations().create_account().account_name("a").email("aws+a@example.com");
    Ok(call.tags(tag(&"k".repeat(129), "v")?).send().await.map(accepted)?)
}

async fn a_sixth_concurrent_account_creation_is_rejected(cloud: Cloud) -> Observed {
    for number in 0..5 {
        request_account(&cloud, "a", &format!("aws+{number}@example.com")).await?;
    }
    request_account(&cloud, "a", "aws+5@example.com").await
}

async fn an_account_creation_request_is_listed(cloud: Cloud) -> Observed {
    let id = cloud.new_account("wanted").await?;
    let list = cloud.organizations().list_create_account_status().states(CreateAccountState::Succeeded).send().await?;
    let found = list.create_account_statuses.unwrap_or_default().into_iter().find(|status| {
        status.account_name.as_deref() == Some("wanted") && status.account_id.as_deref() == Some(id.as_str())
    });
    Ok(describe(found.as_ref()))
}

async fn an_unknown_account_creation_request_is_not_found(cloud: Cloud) -> Observed {
    let call = cloud.organizations().describe_create_account_status().create_account_request_id("car-00000000000");
    Ok(call.send().await.map(accepted)?)
}

async fn an_unknown_account_is_not_found(cloud: Cloud) -> Observed {
    Ok(cloud.organizations().describe_account().account_id("999988887777").send().await.map(accepted)?)
}

async fn an_account_id_of_5_digits_is_rejected(cloud: Cloud) -> Observed {
    Ok(cloud.organizations().describe_account().account_id("12345").send().await.map(accepted)?)
}

async fn a_page_has_20_accounts(cloud: Cloud) -> Observed {
    for number in 0..21 {
        cloud.new_account(&format!("a{number}")).await?;
    }
    let first = cloud.organizations().list_accounts().send().await?;
    let more = if first.next_token.is_some() { "and more" } else { "and no more" };
    Ok(format!("{} {more}", first.accounts.unwrap_or_default().len()))
}

async fn a_page_of_accounts_can_have_fewer_than_20_accounts(cloud: Cloud) -> Observed {
    for name in ["a", "b", "c", "d"] {
        cloud.new_account(name).await?;
    }
    let (mut token, mut largest, mut ids) = (None, 0, Vec::new());
    loop {
        let page = cloud.organizations().list_accounts().max_results(2).set_next_token(token).send().await?;
        let accounts = page.accounts.unwrap_or_default();
        largest = largest.max(accounts.len());
        ids.extend(accounts.into_iter().filter_map(|account| account.id));
        token = page.next_token;
        if token.is_none() || ids.len() > 100 {
            break;
        }
    }
    let listed = ids.len();
    ids.sort();
    ids.dedup();
    Ok(format!("at most {largest} a page, {}", if ids.len() == listed { "each once" } else { "some twice" }))
}

async fn a_page_of_accounts_cannot_have_21_accounts(cloud: Cloud) -> Observed {
    Ok(cloud.organizations().list_accounts().max_results(21).send().await.map(accepted)?)
}

async fn an_account_is_moved_to_an_ou(cloud: Cloud) -> Observed {
    let (id, root) = (cloud.new_account("a").await?, cloud.root().await?);
    let unit = cloud.create_ou(&root, "eu").await?;
    move_account(&cloud, &id, &root, &unit).await?;
    let inside = cloud.organizations().list_accounts_for_parent().parent_id(&unit).send().await?;
    let inside = inside.accounts.unwrap_or_default().iter().any(|account| account.id.as_ref() == Some(&id));
    let above = cloud.organizations().list_accounts_for_parent().parent_id(&root).send().await?;
    let above = above.accounts.unwrap_or_default().iter().any(|account| account.id.as_ref() == Some(&id));
    Ok(format!("in the unit: {inside}, in the root: {above}"))
}

async fn a_move_with_a_wrong_source_parent_is_rejected(cloud: Cloud) -> Observed {
    let (id, root) = (cloud.new_account("a").await?, cloud.root().await?);
    let (one, two) = (cloud.create_ou(&root, "one").await?, cloud.create_ou(&root, "two").await?);
    move_account(&cloud, &id, &one, &two).await
}

async fn a_move_to_the_current_parent_is_rejected(cloud: Cloud) -> Observed {
    let (id, root) = (cloud.new_account("a").await?, cloud.root().await?);
    move_account(&cloud, &id, &root, &root).await
}

async fn a_move_to_an_unknown_ou_is_rejected(cloud: Cloud) -> Observed {
    let (id, root) = (cloud.new_account("a").await?, cloud.root().await?);
    move_account(&cloud, &id, &root, "ou-abcd-00000000").await
}

async fn a_move_of_an_unknown_account_is_rejected(cloud: Cloud) -> Observed {
    let root = cloud.root().await?;
    let unit = cloud.create_ou(&root, "eu").await?;
    move_account(&cloud, "999988887777", &root, &unit).await
}

async fn an_ou_name_is_unique_below_its_parent(cloud: Cloud) -> Observed {
    let root = cloud.root().await?;
    cloud.create_ou(&root, "eu").await?;
    cloud.create_ou(&root, "eu").await.map(accepted)
}

async fn an_ou_name_can_be_reused_below_another_parent(cloud: Cloud) -> Observed {
    let root = cloud.root().await?;
    let unit = cloud.create_ou(&root, "eu").await?;
    cloud.create_ou(&unit, "eu").await.map(accepted)
}

async fn an_ou_below_an_unknown_parent_is_rejected(cloud: Cloud) -> Observed {
    cloud.create_ou("ou-abcd-00000000", "eu").await.map(accepted)
}

async fn an_unknown_child_has_no_parent(cloud: Cloud) -> Observed {
    Ok(cloud.organizations().list_parents().child_id("999988887777").send().await.map(accepted)?)
}

async fn the_tags_of_a_creation_request_are_set_on_the_account(cloud: Cloud) -> Observed {
    let call = cloud.organizations().create_account().account_name("a").email("aws+a@example.com");
    let started = call.tags(tag("environment", "env_1")?).send().await?.create_account_status;
    let request = started.and_then(|status| status.id).unwrap_or_default();
    let organizations = cloud.organizations();
    let id = cloud
        .poll_until(async || {
            let call = organizations.describe_create_account_status().create_account_request_id(&request);
            Ok(call.send().await?.create_account_status.and_then(|status| status.account_id))
        })
        .await?;
    tags_of(&cloud, &id).await
}

async fn a_tag_is_overwritten(cloud: Cloud) -> Observed {
    let id = cloud.new_account("a").await?;
    for value in ["old", "new"] {
        cloud.organizations().tag_resource().resource_id(&id).tags(tag("tier", value)?).send().await?;
    }
    tags_of(&cloud, &id).await
}

async fn reading_tags_of_an_unknown_account_is_rejected(cloud: Cloud) -> Observed {
    tags_of(&cloud, "999988887777").await
}

async fn a_member_cannot_create_accounts(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    let call = cloud.organizations_as(&member).create_account().account_name("b").email("aws+b@example.com");
    Ok(call.send().await.map(accepted)?)
}

async fn a_member_cannot_list_accounts(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    Ok(cloud.organizations_as(&member).list_accounts().send().await.map(accepted)?)
}

async fn a_closed_account_cannot_be_closed_again(cloud: Cloud) -> Observed {
    let id = cloud.new_account("a").await?;
    cloud.organizations().close_account().account_id(&id).send().await?;
    cloud
        .poll_until(async || {
            let account = cloud.organizations().describe_account().account_id(&id).send().await?.account;
            let state = account.and_then(|account| account.state);
            Ok((state != Some(AccountState::PendingClosure)).then_some(()))
        })
        .await?;
    Ok(cloud.organizations().close_account().account_id(&id).send().await.map(accepted)?)
}

async fn a_new_account_cannot_leave_the_organisation(cloud: Cloud) -> Observed {
    let id = cloud.new_account("a").await?;
    Ok(cloud.organizations().remove_account_from_organization().account_id(id).send().await.map(accepted)?)
}

async fn the_management_account_cannot_leave_the_organisation(cloud: Cloud) -> Observed {
    let organization = cloud.organizations().describe_organization().send().await?.organization;
    let management = organization.and_then(|organization| organization.master_account_id).unwrap_or_default();
    Ok(cloud.organizations().remove_account_from_organization().account_id(management).send().await.map(accepted)?)
}

// The path starts with the organisation and leads through root and OUs to the account.
async fn an_account_in_a_list_contains_its_path(cloud: Cloud) -> Observed {
    let (id, root) = (cloud.new_account("a").await?, cloud.root().await?);
    let unit = cloud.create_ou(&root, "eu").await?;
    let moving = cloud.organizations().move_account().account_id(&id).source_parent_id(&root);
    moving.destination_parent_id(&unit).send().await?;
    let accounts = cloud.organizations().list_accounts().send().await?.accounts.unwrap_or_default();
    let account = accounts.into_iter().find(|account| account.id.as_deref() == Some(&id));
    let path = account.and_then(|account| account.paths?.into_iter().next());
    let Some(path) = path else { return Ok("no path".to_owned()) };
    let (_, below) = path.split_once('/').unwrap_or_default();
    Ok(if below == format!("{root}/{unit}/{id}/") { "root, unit, account" } else { "otherwise" }.to_owned())
}

async fn request_account(cloud: &Cloud, name: &str, email: &str) -> Observed {
    Ok(cloud.organizations().create_account().account_name(name).email(email).send().await.map(accepted)?)
}

async fn move_account(cloud: &Cloud, id: &str, from: &str, to: &str) -> Observed {
    let call = cloud.organizations().move_account().account_id(id);
    Ok(call.source_parent_id(from).destination_parent_id(to).send().await.map(accepted)?)
}

async fn tags_of(cloud: &Cloud, id: &str) -> Observed {
    let tags = cloud.organizations().list_tags_for_resource().resource_id(id).send().await?.tags.unwrap_or_default();
    Ok(tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>().join(", "))
}

fn tag(key: &str, value: &str) -> Result<Tag, Failure> {
    Tag::builder().key(key).value(value).build().map_err(|error| Failure(error.to_string()))
}

fn describe(status: Option<&CreateAccountStatus>) -> String {
    let state = status.and_then(|status| status.state.as_ref()).map_or("no state", CreateAccountState::as_str);
    let reason = status.and_then(|status| status.failure_reason.as_ref()).map(CreateAccountFailureReason::as_str);
    [Some(state), reason].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// SDK interceptor that stores the raw body of the response.
#[derive(Clone, Debug, Default)]
struct RawBody(Arc<Mutex<Vec<u8>>>);

impl RawBody {
    fn body(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[dyn_dispatch_hint]
impl Intercept for RawBody {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default().to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        Ok(())
    }
}
