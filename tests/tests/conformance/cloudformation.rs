//! Test cases of AWS CloudFormation in a member account.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackStatus};

use super::case::{Failure, Observed, accepted, cases, with_message};
use super::cloud::Cloud;

cases![
    creating_a_stack_takes_time,
    a_stack_becomes_complete,
    a_stack_has_parameters_outputs_and_tags,
    stack_events_are_listed_newest_first,
    stack_events_contain_the_token_of_the_request,
    a_stack_name_is_unique,
    a_stack_name_that_begins_with_a_digit_is_rejected,
    a_stack_name_of_129_characters_is_too_long,
    creating_a_role_requires_a_capability,
    creating_a_named_role_requires_another_capability,
    an_unknown_stack_does_not_exist,
    a_template_with_a_syntax_error_is_rejected,
    a_template_without_resources_is_rejected,
    a_template_with_an_undefined_reference_is_rejected,
    a_template_with_an_unknown_resource_type_is_rejected,
    a_template_of_51201_bytes_is_rejected,
    a_parameter_without_default_is_required,
    a_parameter_that_the_template_does_not_define_is_rejected,
    a_parameter_value_that_is_not_allowed_is_rejected,
    a_failed_stack_rolls_back,
    the_events_of_a_rolled_back_stack_show_the_first_failure,
    a_rolled_back_stack_cannot_be_updated,
    the_name_of_a_rolled_back_stack_is_still_in_use,
    a_rolled_back_stack_can_be_deleted_and_created_again,
    a_failed_stack_remains_if_rollback_is_disabled,
    an_update_without_changes_is_rejected,
    an_update_changes_the_stack,
    an_unknown_stack_cannot_be_updated,
    a_stack_being_created_cannot_be_updated,
    deleting_an_unknown_stack_succeeds,
    a_deleted_stack_is_not_found_by_name,
    a_deleted_stack_is_found_by_id,
    a_protected_stack_cannot_be_deleted,
    stacks_of_another_account_are_not_listed,
    stacks_of_another_region_are_not_listed,
    a_deleted_stack_is_still_listed,
];

const LOG_GROUP: &str = r#"{
    "Parameters": { "Days": { "Type": "Number", "Default": 7, "AllowedValues": [7, 14] } },
    "Resources": { "Logs": { "Type": "AWS::Logs::LogGroup", "Properties": {
        "LogGroupName": { "Fn::Sub": "/tenant/${AWS::StackName}" }, "RetentionInDays": { "Ref": "Days" } } } },
    "Outputs": { "Name": { "Value": { "Ref": "Logs" } } }
}"#;

const IAM_ROLE: &str = r#"{
    "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
              "Action": "sts:AssumeRole" } ] } } } }
}"#;

/// Template with a named role. Creating a second stack from the template fails, because the role name is in use.
const NAMED_IAM_ROLE: &str = r#"{
    "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "only-one",
        "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
              "Action": "sts:AssumeRole" } ] } } } }
}"#;

async fn creating_a_stack_takes_time(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    Ok(state(&describe(&client, "app").await?))
}

async fn a_stack_becomes_complete(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await
}

async fn a_stack_has_parameters_outputs_and_tags(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let tag = aws_sdk_cloudformation::types::Tag::builder().key("tenant").value("ten_1").build();
    let call = client.create_stack().stack_name("app").template_body(LOG_GROUP).tags(tag);
    call.parameters(parameter("Days", "14")).send().await?;
    final_state(&cloud, &client, "app").await?;
    let stack = describe(&client, "app").await?;
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    let parameters = parameters.map(|one| pair(one.parameter_key, one.parameter_value));
    let outputs = stack.outputs.unwrap_or_default().into_iter().map(|one| pair(one.output_key, one.output_value));
    let tags = stack.tags.unwrap_or_default().into_iter().map(|one| pair(one.key, one.value));
    Ok(parameters.chain(outputs).chain(tags).collect::<Vec<_>>().join(", "))
}

async fn stack_events_are_listed_newest_first(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await?;
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

async fn stack_events_contain_the_token_of_the_request(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    client.create_stack().stack_name("app").template_body(LOG_GROUP).client_request_token("try-1").send().await?;
    final_state(&cloud, &client, "app").await?;
    let events = client.describe_stack_events().stack_name("app").send().await?.stack_events.unwrap_or_default();
    let all = events.iter().all(|event| event.client_request_token.as_deref() == Some("try-1"));
    Ok(if all { "all of them" } else { "not all of them" }.to_owned())
}

async fn a_stack_name_is_unique(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    create(&client, "app", LOG_GROUP).await
}

async fn a_stack_name_that_begins_with_a_digit_is_rejected(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "1-app", LOG_GROUP).await
}

async fn a_stack_name_of_129_characters_is_too_long(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, &"n".repeat(129), LOG_GROUP).await
}

async fn creating_a_role_requires_a_capability(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", IAM_ROLE).await
}

async fn creating_a_named_role_requires_another_capability(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(NAMED_IAM_ROLE);
    Ok(call.capabilities(Capability::CapabilityIam).send().await.map(accepted)?)
}

async fn an_unknown_stack_does_not_exist(cloud: Cloud) -> Observed {
    client(&cloud).await?.describe_stacks().stack_name("app").send().await.map(accepted).map_err(with_message)
}

async fn a_template_with_a_syntax_error_is_rejected(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", "{ \"Resources\": ").await
}

async fn a_template_without_resources_is_rejected(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", r#"{ "Description": "nothing" }"#).await
}

async fn a_template_with_an_undefined_reference_is_rejected(cloud: Cloud) -> Observed {
    let template =
        LOG_GROUP.replace(r#""RetentionInDays": { "Ref": "Days" }"#, r#""RetentionInDays": { "Ref": "Weeks" }"#);
    create_with_message(&client(&cloud).await?, &template).await
}

async fn a_template_with_an_unknown_resource_type_is_rejected(cloud: Cloud) -> Observed {
    create(&client(&cloud).await?, "app", &LOG_GROUP.replace("AWS::Logs::LogGroup", "AWS::Nowhere::Nothing")).await
}

async fn a_template_of_51201_bytes_is_rejected(cloud: Cloud) -> Observed {
    let padded = LOG_GROUP.replacen('{', &format!("{{{}", " ".repeat(51_201 - LOG_GROUP.len())), 1);
    create(&client(&cloud).await?, "app", &padded).await
}

async fn a_parameter_without_default_is_required(cloud: Cloud) -> Observed {
    create_with_message(&client(&cloud).await?, &LOG_GROUP.replace(r#""Default": 7, "#, "")).await
}

async fn a_parameter_that_the_template_does_not_define_is_rejected(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(LOG_GROUP);
    Ok(call.parameters(parameter("Weeks", "1")).send().await.map(accepted)?)
}

async fn a_parameter_value_that_is_not_allowed_is_rejected(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(LOG_GROUP);
    Ok(call.parameters(parameter("Days", "8")).send().await.map(accepted)?)
}

async fn a_failed_stack_rolls_back(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await
}

async fn the_events_of_a_rolled_back_stack_show_the_first_failure(cloud: Cloud) -> Observed {
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
    let call = client.update_stack().stack_name("second").template_body(LOG_GROUP);
    call.send().await.map(accepted).map_err(|error| remove_stack_ids(with_message(error)))
}

async fn the_name_of_a_rolled_back_stack_is_still_in_use(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await?;
    create(&client, "second", LOG_GROUP).await
}

async fn a_rolled_back_stack_can_be_deleted_and_created_again(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_failing(&cloud, &client).await?;
    delete(&cloud, &client, "second").await?;
    create(&client, "second", LOG_GROUP).await?;
    final_state(&cloud, &client, "second").await
}

async fn a_failed_stack_remains_if_rollback_is_disabled(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_named_role(&client, "first", false).await?;
    final_state(&cloud, &client, "first").await?;
    create_named_role(&client, "second", true).await?;
    final_state(&cloud, &client, "second").await
}

async fn an_update_without_changes_is_rejected(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await?;
    client.update_stack().stack_name("app").template_body(LOG_GROUP).send().await.map(accepted).map_err(with_message)
}

async fn an_update_changes_the_stack(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await?;
    client.update_stack().stack_name("app").template_body(LOG_GROUP).parameters(parameter("Days", "14")).send().await?;
    final_state(&cloud, &client, "app").await
}

async fn an_unknown_stack_cannot_be_updated(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    client.update_stack().stack_name("app").template_body(LOG_GROUP).send().await.map(accepted).map_err(with_message)
}

async fn a_stack_being_created_cannot_be_updated(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    let call = client.update_stack().stack_name("app").template_body(LOG_GROUP).parameters(parameter("Days", "14"));
    Ok(call.send().await.map(accepted)?)
}

async fn deleting_an_unknown_stack_succeeds(cloud: Cloud) -> Observed {
    Ok(client(&cloud).await?.delete_stack().stack_name("app").send().await.map(accepted)?)
}

async fn a_deleted_stack_is_not_found_by_name(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await?;
    delete(&cloud, &client, "app").await?;
    client.describe_stacks().stack_name("app").send().await.map(accepted).map_err(with_message)
}

async fn a_deleted_stack_is_found_by_id(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await?;
    let id = describe(&client, "app").await?.stack_id.unwrap_or_default();
    delete(&cloud, &client, "app").await?;
    Ok(state(&describe(&client, &id).await?))
}

async fn a_protected_stack_cannot_be_deleted(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let call = client.create_stack().stack_name("app").template_body(LOG_GROUP);
    call.enable_termination_protection(true).send().await?;
    final_state(&cloud, &client, "app").await?;
    Ok(client.delete_stack().stack_name("app").send().await.map(accepted)?)
}

async fn stacks_of_another_account_are_not_listed(cloud: Cloud) -> Observed {
    let (one, two) = (cloud.create_member("one").await?, cloud.create_member("two").await?);
    create(&cloud.cloudformation(&one), "app", LOG_GROUP).await?;
    stack_list(&cloud.cloudformation(&two)).await
}

async fn stacks_of_another_region_are_not_listed(cloud: Cloud) -> Observed {
    let member = cloud.create_member("a").await?;
    create(&cloud.cloudformation(&member), "app", LOG_GROUP).await?;
    stack_list(&cloud.cloudformation_in(&member, "eu-west-1")).await
}

async fn a_deleted_stack_is_still_listed(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create(&client, "app", LOG_GROUP).await?;
    final_state(&cloud, &client, "app").await?;
    delete(&cloud, &client, "app").await?;
    stack_list(&client).await
}

/// Creates a member account and returns a client for it.
async fn client(cloud: &Cloud) -> Result<Client, Failure> {
    Ok(cloud.cloudformation(&cloud.create_member("a").await?))
}

async fn create(client: &Client, name: &str, template: &str) -> Observed {
    Ok(client.create_stack().stack_name(name).template_body(template).send().await.map(accepted)?)
}

async fn create_with_message(client: &Client, template: &str) -> Observed {
    client.create_stack().stack_name("app").template_body(template).send().await.map(accepted).map_err(with_message)
}

async fn create_named_role(client: &Client, name: &str, disable_rollback: bool) -> Observed {
    let call = client.create_stack().stack_name(name).template_body(NAMED_IAM_ROLE).disable_rollback(disable_rollback);
    Ok(call.capabilities(Capability::CapabilityNamedIam).send().await.map(accepted)?)
}

/// Creates the stacks `first` and `second` with the same role name, so that `second` fails. Returns the final state of
/// `second`.
async fn create_failing(cloud: &Cloud, client: &Client) -> Observed {
    create_named_role(client, "first", false).await?;
    final_state(cloud, client, "first").await?;
    create_named_role(client, "second", false).await?;
    final_state(cloud, client, "second").await
}

async fn delete(cloud: &Cloud, client: &Client, name: &str) -> Result<(), Failure> {
    let id = describe(client, name).await?.stack_id.unwrap_or_default();
    client.delete_stack().stack_name(name).send().await?;
    cloud
        .poll_until(async || match describe(client, &id).await {
            Ok(stack) => Ok((stack.stack_status != Some(StackStatus::DeleteInProgress)).then_some(())),
            // Some emulators do not return deleted stacks, so an error means that the stack is deleted.
            Err(_) => Ok(Some(())),
        })
        .await
}

/// Waits until a stack reaches a final state, and returns the state.
pub(super) async fn final_state(cloud: &Cloud, client: &Client, name: &str) -> Observed {
    cloud
        .poll_until(async || {
            let state = state(&describe(client, name).await?);
            Ok((!state.ends_with("IN_PROGRESS")).then_some(state))
        })
        .await
}

async fn describe(client: &Client, name: &str) -> Result<Stack, Failure> {
    let stacks = client.describe_stacks().stack_name(name).send().await?.stacks.unwrap_or_default();
    stacks.into_iter().next().ok_or_else(|| Failure("no stack".to_owned()))
}

async fn stack_list(client: &Client) -> Observed {
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
fn remove_stack_ids(failure: Failure) -> Failure {
    let words = failure.0.split(' ').map(|word| if word.starts_with("arn:") { "<stack>" } else { word });
    Failure(
        words
            .map(|word| if word.starts_with("Stack:arn:") { "Stack:<id>" } else { word })
            .collect::<Vec<_>>()
            .join(" "),
    )
}
