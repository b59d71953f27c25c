//! Test cases of AWS CloudFormation in a member account.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackStatus};

use super::case::{Failure, Observed, accepted, cases, with_message};
use super::cloud::Cloud;

cases![
    a_stack_takes_time_to_create,
    a_stack_becomes_complete,
    a_stack_keeps_parameters_outputs_and_tags,
    a_stack_lists_its_events_newest_first,
    events_carry_the_token_of_the_request,
    a_stack_name_is_unique,
    a_stack_name_begins_with_a_letter,
    a_stack_name_of_129_characters_is_too_long,
    a_role_needs_a_capability,
    a_named_role_needs_another_capability,
    an_unknown_stack_does_not_exist,
    a_template_is_json_or_yaml,
    a_template_has_resources,
    a_template_names_only_what_it_has,
    a_template_has_known_resource_types,
    a_template_is_at_most_51200_bytes,
    a_parameter_without_default_is_required,
    a_parameter_that_the_template_lacks_is_refused,
    a_parameter_has_an_allowed_value,
    a_failed_stack_rolls_back,
    a_rolled_back_stack_says_what_failed_first,
    a_rolled_back_stack_cannot_be_updated,
    a_rolled_back_stack_still_has_its_name,
    a_rolled_back_stack_can_be_deleted_and_created_again,
    a_failed_stack_stays_if_rollback_is_disabled,
    an_update_without_changes_is_refused,
    an_update_changes_the_stack,
    an_update_needs_a_stack,
    a_stack_being_created_cannot_be_updated,
    deleting_an_unknown_stack_succeeds,
    a_deleted_stack_is_not_found_by_name,
    a_deleted_stack_is_found_by_id,
    a_protected_stack_is_not_deleted,
    stacks_of_another_account_are_not_listed,
    stacks_of_another_region_are_not_listed,
    a_deleted_stack_is_still_listed,
];

const GROUP: &str = r#"{
    "Parameters": { "Days": { "Type": "Number", "Default": 7, "AllowedValues": [7, 14] } },
    "Resources": { "Logs": { "Type": "AWS::Logs::LogGroup", "Properties": {
        "LogGroupName": { "Fn::Sub": "/tenant/${AWS::StackName}" }, "RetentionInDays": { "Ref": "Days" } } } },
    "Outputs": { "Name": { "Value": { "Ref": "Logs" } } }
}"#;

const ROLE: &str = r#"{
    "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
              "Action": "sts:AssumeRole" } ] } } } }
}"#;

/// Template with a named role. Creating a second stack from the template fails, because the role name is in use.
const NAMED_ROLE: &str = r#"{
    "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "only-one",
        "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
              "Action": "sts:AssumeRole" } ] } } } }
}"#;

async fn a_stack_takes_time_to_create(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    Ok(state(&describe(&client, "app").await?))
}

async fn a_stack_becomes_complete(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await
}

async fn a_stack_keeps_parameters_outputs_and_tags(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let tag = aws_sdk_cloudformation::types::Tag::builder().key("tenant").value("ten_1").build();
    let call = client.create_stack().stack_name("app").template_body(GROUP).tags(tag);
    call.parameters(parameter("Days", "14")).send().await?;
    settled(&cloud, &client, "app").await?;
    let stack = describe(&client, "app").await?;
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    let parameters = parameters.map(|one| pair(one.parameter_key, one.parameter_value));
    let outputs = stack.outputs.unwrap_or_default().into_iter().map(|one| pair(one.output_key, one.output_value));
    let tags = stack.tags.unwrap_or_default().into_iter().map(|one| pair(one.key, one.value));
    Ok(parameters.chain(outputs).chain(tags).collect::<Vec<_>>().join(", "))
}

async fn a_stack_lists_its_events_newest_first(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await?;
    let events = client.describe_stack_events().stack_name("app").send().await?.stack_events.unwrap_or_default();
    let events = events.iter().map(|event| {
        let state = event.resource_status.as_ref().map_or("", |status| status.as_str());
        format!("{} {state}", event.logical_resource_id.as_deref().unwrap_or_default())
    });
    let mut events: Vec<_> = events.collect();
    // AWS reports the creation of a resource twice: at the start, and when the resource has an id.
    events.dedup();
    Ok(events.join(", "))
}

async fn events_carry_the_token_of_the_request(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    client.create_stack().stack_name("app").template_body(GROUP).client_request_token("try-1").send().await?;
    settled(&cloud, &client, "app").await?;
    let events = client.describe_stack_events().stack_name("app").send().await?.stack_events.unwrap_or_default();
    let all = events.iter().all(|event| event.client_request_token.as_deref() == Some("try-1"));
    Ok(if all { "all of them" } else { "not all of them" }.to_owned())
}

async fn a_stack_name_is_unique(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    create(&client, "app", GROUP).await
}

async fn a_stack_name_begins_with_a_letter(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "1-app", GROUP).await
}

async fn a_stack_name_of_129_characters_is_too_long(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, &"n".repeat(129), GROUP).await
}

async fn a_role_needs_a_capability(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", ROLE).await
}

async fn a_named_role_needs_another_capability(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(NAMED_ROLE);
    Ok(call.capabilities(Capability::CapabilityIam).send().await.map(accepted)?)
}

async fn an_unknown_stack_does_not_exist(cloud: Cloud) -> Observed {
    client(&cloud).await?.describe_stacks().stack_name("app").send().await.map(accepted).map_err(with_message)
}

async fn a_template_is_json_or_yaml(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", "{ \"Resources\": ").await
}

async fn a_template_has_resources(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", r#"{ "Description": "nothing" }"#).await
}

async fn a_template_names_only_what_it_has(cloud: Cloud) -> Observed {
    let template = GROUP.replace(r#""RetentionInDays": { "Ref": "Days" }"#, r#""RetentionInDays": { "Ref": "Weeks" }"#);
    create_with_message(&client(&cloud).await?, &template).await
}

async fn a_template_has_known_resource_types(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", &GROUP.replace("AWS::Logs::LogGroup", "AWS::Nowhere::Nothing")).await
}

async fn a_template_is_at_most_51200_bytes(cloud: Cloud) -> Observed {
    let padded = GROUP.replacen('{', &format!("{{{}", " ".repeat(51_201 - GROUP.len())), 1);
    create(&client(&cloud).await?, "app", &padded).await
}

async fn a_parameter_without_default_is_required(cloud: Cloud) -> Observed {
    create_with_message(&client(&cloud).await?, &GROUP.replace(r#""Default": 7, "#, "")).await
}

async fn a_parameter_that_the_template_lacks_is_refused(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(GROUP);
    Ok(call.parameters(parameter("Weeks", "1")).send().await.map(accepted)?)
}

async fn a_parameter_has_an_allowed_value(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(GROUP);
    Ok(call.parameters(parameter("Days", "8")).send().await.map(accepted)?)
}

async fn a_failed_stack_rolls_back(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await
}

async fn a_rolled_back_stack_says_what_failed_first(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await?;
    let events = client.describe_stack_events().stack_name("second").send().await?.stack_events.unwrap_or_default();
    let failed = events
        .iter()
        .rev()
        .find(|event| event.resource_status.as_ref().is_some_and(|status| status.as_str().ends_with("FAILED")));
    let failed = failed.ok_or_else(|| Failure("nothing failed".to_owned()))?;
    let why = failed.resource_status_reason.as_deref().unwrap_or_default();
    let named = if why.contains("only-one") { "names the role" } else { "does not name the role" };
    Ok(format!("{} {named}", failed.logical_resource_id.as_deref().unwrap_or_default()))
}

async fn a_rolled_back_stack_cannot_be_updated(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await?;
    let call = client.update_stack().stack_name("second").template_body(GROUP);
    call.send().await.map(accepted).map_err(|error| without_ids(with_message(error)))
}

async fn a_rolled_back_stack_still_has_its_name(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await?;
    create(&client, "second", GROUP).await
}

async fn a_rolled_back_stack_can_be_deleted_and_created_again(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await?;
    delete(&cloud, &client, "second").await?;
    create(&client, "second", GROUP).await?;
    settled(&cloud, &client, "second").await
}

async fn a_failed_stack_stays_if_rollback_is_disabled(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_named_role(&client, "first", false).await?;
    settled(&cloud, &client, "first").await?;
    create_named_role(&client, "second", true).await?;
    settled(&cloud, &client, "second").await
}

async fn an_update_without_changes_is_refused(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await?;
    client.update_stack().stack_name("app").template_body(GROUP).send().await.map(accepted).map_err(with_message)
}

async fn an_update_changes_the_stack(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await?;
    client.update_stack().stack_name("app").template_body(GROUP).parameters(parameter("Days", "14")).send().await?;
    settled(&cloud, &client, "app").await
}

async fn an_update_needs_a_stack(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    client.update_stack().stack_name("app").template_body(GROUP).send().await.map(accepted).map_err(with_message)
}

async fn a_stack_being_created_cannot_be_updated(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    let call = client.update_stack().stack_name("app").template_body(GROUP).parameters(parameter("Days", "14"));
    Ok(call.send().await.map(accepted)?)
}

async fn deleting_an_unknown_stack_succeeds(cloud: Cloud) -> Observed {
    Ok(client(&cloud).await?.delete_stack().stack_name("app").send().await.map(accepted)?)
}

async fn a_deleted_stack_is_not_found_by_name(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await?;
    delete(&cloud, &client, "app").await?;
    client.describe_stacks().stack_name("app").send().await.map(accepted).map_err(with_message)
}

async fn a_deleted_stack_is_found_by_id(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await?;
    let id = describe(&client, "app").await?.stack_id.unwrap_or_default();
    delete(&cloud, &client, "app").await?;
    Ok(state(&describe(&client, &id).await?))
}

async fn a_protected_stack_is_not_deleted(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(GROUP);
    call.enable_termination_protection(true).send().await?;
    settled(&cloud, &client, "app").await?;
    Ok(client.delete_stack().stack_name("app").send().await.map(accepted)?)
}

async fn stacks_of_another_account_are_not_listed(cloud: Cloud) -> Observed {
    let (one, two) = (cloud.member("one").await?, cloud.member("two").await?);
    create(&cloud.cloudformation(&one), "app", GROUP).await?;
    listed(&cloud.cloudformation(&two)).await
}

async fn stacks_of_another_region_are_not_listed(cloud: Cloud) -> Observed {
    let member = cloud.member("a").await?;
    create(&cloud.cloudformation(&member), "app", GROUP).await?;
    listed(&cloud.cloudformation_in(&member, "eu-west-1")).await
}

async fn a_deleted_stack_is_still_listed(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", GROUP).await?;
    settled(&cloud, &client, "app").await?;
    delete(&cloud, &client, "app").await?;
    listed(&client).await
}

/// Creates a member account and returns a client for it.
async fn client(cloud: &Cloud) -> Result<Client, Failure> {
    Ok(cloud.cloudformation(&cloud.member("a").await?))
}

async fn create(client: &Client, name: &str, template: &str) -> Observed {
    Ok(client.create_stack().stack_name(name).template_body(template).send().await.map(accepted)?)
}

async fn create_with_message(client: &Client, template: &str) -> Observed {
    client.create_stack().stack_name("app").template_body(template).send().await.map(accepted).map_err(with_message)
}

async fn create_named_role(client: &Client, name: &str, disable_rollback: bool) -> Observed {
    let call = client.create_stack().stack_name(name).template_body(NAMED_ROLE).disable_rollback(disable_rollback);
    Ok(call.capabilities(Capability::CapabilityNamedIam).send().await.map(accepted)?)
}

/// Creates the stacks `first` and `second` with the same role name, so that `second` fails. Returns the final state of
/// `second`.
async fn create_failing(cloud: &Cloud, client: &Client) -> Observed {
    create_named_role(client, "first", false).await?;
    settled(cloud, client, "first").await?;
    create_named_role(client, "second", false).await?;
    settled(cloud, client, "second").await
}

async fn delete(cloud: &Cloud, client: &Client, name: &str) -> Result<(), Failure> {
    let id = describe(client, name).await?.stack_id.unwrap_or_default();
    client.delete_stack().stack_name(name).send().await?;
    cloud
        .until(async || match describe(client, &id).await {
            Ok(stack) => Ok((stack.stack_status != Some(StackStatus::DeleteInProgress)).then_some(())),
            // Some emulators do not return deleted stacks, so an error means that the stack is deleted.
            Err(_) => Ok(Some(())),
        })
        .await
}

/// Waits until a stack reaches a final state, and returns the state.
pub(super) async fn settled(cloud: &Cloud, client: &Client, name: &str) -> Observed {
    cloud
        .until(async || {
            let state = state(&describe(client, name).await?);
            Ok((!state.ends_with("IN_PROGRESS")).then_some(state))
        })
        .await
}

async fn describe(client: &Client, name: &str) -> Result<Stack, Failure> {
    let stacks = client.describe_stacks().stack_name(name).send().await?.stacks.unwrap_or_default();
    stacks.into_iter().next().ok_or_else(|| Failure("no stack".to_owned()))
}

async fn listed(client: &Client) -> Observed {
    let stacks = client.list_stacks().send().await?.stack_summaries.unwrap_or_default();
    let stacks = stacks.into_iter().map(|stack| {
        let state = stack.stack_status.map_or_else(String::new, |status| status.as_str().to_owned());
        format!("{} {state}", stack.stack_name.unwrap_or_default())
    });
    let stacks = stacks.collect::<Vec<_>>().join(", ");
    Ok(if stacks.is_empty() { "none".to_owned() } else { stacks })
}

fn state(stack: &Stack) -> String {
    stack.stack_status.as_ref().map_or("no state", StackStatus::as_str).to_owned()
}

fn parameter(key: &str, value: &str) -> Parameter {
    Parameter::builder().parameter_key(key).parameter_value(value).build()
}

fn pair(key: Option<String>, value: Option<String>) -> String {
    format!("{}={}", key.unwrap_or_default(), value.unwrap_or_default())
}

/// Removes stack ids from the message, because they are random.
fn without_ids(failure: Failure) -> Failure {
    let words = failure.0.split(' ').map(|word| if word.starts_with("arn:") { "<stack>" } else { word });
    Failure(
        words
            .map(|word| if word.starts_with("Stack:arn:") { "Stack:<id>" } else { word })
            .collect::<Vec<_>>()
            .join(" "),
    )
}
