//! Test cases of change sets, rollback triggers and drift detection of CloudFormation.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{ChangeSetStatus, ChangeSetType, RollbackConfiguration, RollbackTrigger};

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::Cloud;

cases![
    a_change_set_creates_a_stack_that_was_in_review,
    a_change_set_without_changes_fails,
    a_change_set_without_changes_cannot_be_executed,
    a_change_set_name_is_unique,
    a_change_set_of_a_missing_stack_is_rejected,
    an_unknown_change_set_is_not_found,
    an_executed_change_set_deletes_the_others,
    an_update_makes_a_change_set_obsolete,
    a_missing_rollback_trigger_fails_the_update,
    an_update_that_is_not_in_progress_cannot_be_cancelled,
    a_new_stack_has_not_drifted,
    a_template_summary_lists_resource_types,
    stack_resources_are_listed,
];

/// Returns a template with a log group.
fn template(days: u32) -> String {
    format!(
        r#"{{"Resources": {{"Logs": {{"Type": "AWS::Logs::LogGroup", "Properties": {{"RetentionInDays": {days}}}}}}}}}"#
    )
}

async fn client(cloud: &Cloud) -> Result<Client, Failure> {
    Ok(cloud.cloudformation(&cloud.create_member("a").await?))
}

/// Creates a stack and waits until it is complete.
async fn create_stack(cloud: &Cloud, client: &Client) -> Result<(), Failure> {
    client.create_stack().stack_name("app").template_body(template(7)).send().await?;
    wait(cloud, client).await.map(drop)
}

/// Waits until the stack is not in progress. Returns its status.
async fn wait(cloud: &Cloud, client: &Client) -> Result<String, Failure> {
    cloud
        .poll_until(async || {
            let stacks = client.describe_stacks().stack_name("app").send().await?.stacks.unwrap_or_default();
            let status = stacks.first().and_then(|stack| stack.stack_status.as_ref());
            let status = status.map(|status| status.as_str().to_owned()).unwrap_or_default();
            Ok((status == "REVIEW_IN_PROGRESS" || !status.ends_with("IN_PROGRESS")).then_some(status))
        })
        .await
}

/// Creates a change set and waits until it is complete or failed. Returns its status and reason.
async fn change_set(
    cloud: &Cloud,
    client: &Client,
    name: &str,
    days: u32,
    kind: ChangeSetType,
) -> Result<String, Failure> {
    let call = client.create_change_set().stack_name("app").change_set_name(name).template_body(template(days));
    call.change_set_type(kind).send().await?;
    cloud
        .poll_until(async || {
            let described = client.describe_change_set().stack_name("app").change_set_name(name).send().await?;
            let status = described.status.clone();
            let is_ready = matches!(status, Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed));
            let status = status.as_ref().map_or("", ChangeSetStatus::as_str).to_owned();
            let reason = described.status_reason.filter(|reason| !reason.is_empty());
            Ok(is_ready.then(|| reason.map_or(status.clone(), |reason| format!("{status}: {reason}"))))
        })
        .await
}

async fn a_change_set_creates_a_stack_that_was_in_review(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    change_set(&cloud, &client, "first", 7, ChangeSetType::Create).await?;
    let before = wait(&cloud, &client).await?;
    client.execute_change_set().stack_name("app").change_set_name("first").send().await?;
    let after = wait(&cloud, &client).await?;
    Ok(format!("{before}, {after}"))
}

async fn a_change_set_without_changes_fails(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    change_set(&cloud, &client, "none", 7, ChangeSetType::Update).await
}

async fn a_change_set_without_changes_cannot_be_executed(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    change_set(&cloud, &client, "none", 7, ChangeSetType::Update).await?;
    Ok(client.execute_change_set().stack_name("app").change_set_name("none").send().await.map(accepted)?)
}

async fn a_change_set_name_is_unique(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    change_set(&cloud, &client, "first", 14, ChangeSetType::Update).await?;
    change_set(&cloud, &client, "first", 30, ChangeSetType::Update).await
}

async fn a_change_set_of_a_missing_stack_is_rejected(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    change_set(&cloud, &client, "first", 14, ChangeSetType::Update).await
}

async fn an_unknown_change_set_is_not_found(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    Ok(client.describe_change_set().stack_name("app").change_set_name("none").send().await.map(accepted)?)
}

async fn an_executed_change_set_deletes_the_others(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    change_set(&cloud, &client, "first", 14, ChangeSetType::Update).await?;
    change_set(&cloud, &client, "second", 30, ChangeSetType::Update).await?;
    client.execute_change_set().stack_name("app").change_set_name("first").send().await?;
    wait(&cloud, &client).await?;
    Ok(client.describe_change_set().stack_name("app").change_set_name("second").send().await.map(accepted)?)
}

async fn an_update_makes_a_change_set_obsolete(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    change_set(&cloud, &client, "first", 14, ChangeSetType::Update).await?;
    client.update_stack().stack_name("app").template_body(template(30)).send().await?;
    wait(&cloud, &client).await?;
    let described = client.describe_change_set().stack_name("app").change_set_name("first").send().await?;
    Ok(described.execution_status.map(|status| status.as_str().to_owned()).unwrap_or_default())
}

async fn a_missing_rollback_trigger_fails_the_update(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    let arn = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:missing";
    let trigger = RollbackTrigger::builder().arn(arn).r#type("AWS::CloudWatch::Alarm").build();
    let configuration = RollbackConfiguration::builder().rollback_triggers(trigger).build();
    let call = client.update_stack().stack_name("app").template_body(template(14));
    call.rollback_configuration(configuration).send().await?;
    wait(&cloud, &client).await
}

async fn an_update_that_is_not_in_progress_cannot_be_cancelled(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    Ok(client.cancel_update_stack().stack_name("app").send().await.map(accepted)?)
}

async fn a_new_stack_has_not_drifted(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    let started = client.detect_stack_drift().stack_name("app").send().await?;
    let id = started.stack_drift_detection_id.unwrap_or_default();
    cloud
        .poll_until(async || {
            let call = client.describe_stack_drift_detection_status().stack_drift_detection_id(&id);
            let described = call.send().await?;
            let status = described.detection_status.as_ref().map_or("", |status| status.as_str()).to_owned();
            let drift = described.stack_drift_status.as_ref().map_or("", |status| status.as_str()).to_owned();
            Ok((status != "DETECTION_IN_PROGRESS").then(|| format!("{status}, {drift}")))
        })
        .await
}

async fn a_template_summary_lists_resource_types(cloud: Cloud) -> Observed {
    let summary = client(&cloud).await?.get_template_summary().template_body(template(7)).send().await?;
    Ok(summary.resource_types.unwrap_or_default().join(", "))
}

async fn stack_resources_are_listed(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    create_stack(&cloud, &client).await?;
    let listed = client.list_stack_resources().stack_name("app").send().await?;
    let resources = listed.stack_resource_summaries.unwrap_or_default();
    let texts = resources.iter().map(|resource| {
        let status = resource.resource_status.as_ref().map_or("", |status| status.as_str());
        format!("{} {status}", resource.logical_resource_id.as_deref().unwrap_or_default())
    });
    Ok(texts.collect::<Vec<_>>().join(", "))
}
