//! `AWS::SQS::Queue`. Only the permissions and attributes of a queue are simulated, not its messages.

use serde_json::Value;

use super::{PhysicalResource, ResourceContext};
use crate::cloudformation::Resource;
use crate::world::State;

pub(super) fn create(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = target.resource_name(state, properties, "QueueName", 80);
    let arn = arn(target, &name);
    target.authorize(state, "sqs:CreateQueue", &arn)?;
    target.authorize(state, "sqs:GetQueueAttributes", &arn)?;
    let url = format!("https://sqs.{}.amazonaws.com/{}/{name}", target.ctx.region, target.account());
    Ok(PhysicalResource::new(&url).with("Arn", arn).with("QueueName", name).with("QueueUrl", url))
}

pub(super) fn update(state: &State, target: &ResourceContext<'_>, before: &Resource) -> Result<(), String> {
    target.authorize(state, "sqs:SetQueueAttributes", &arn(target, name_of(before)))
}

pub(super) fn delete(state: &State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    target.authorize(state, "sqs:DeleteQueue", &arn(target, name_of(resource)))
}

fn name_of(resource: &Resource) -> &str {
    resource.physical_id.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or_default()
}

fn arn(target: &ResourceContext<'_>, name: &str) -> String {
    format!("arn:aws:sqs:{}:{}:{name}", target.ctx.region, target.account())
}
