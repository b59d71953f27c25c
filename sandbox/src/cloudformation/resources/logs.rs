//! `AWS::Logs::LogGroup`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PhysicalResource, ResourceContext, already_exists, handler_error, number, tags};
use crate::cloudformation::Resource;
use crate::world::State;

/// Retention periods supported by CloudWatch Logs, in days.
const RETENTION_PERIODS_DAYS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// CloudWatch log group. Its name is unique within the account and region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogGroup {
    pub name: String,
    /// Retention period in days; `None` means that log events are never deleted.
    pub retention_days: Option<i64>,
    pub tags: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
}

pub(super) fn create(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = target.resource_name(state, properties, "LogGroupName", 512);
    let arn = arn(target, &name);
    target.authorize(state, "logs:CreateLogGroup", &arn)?;
    let retention_days = authorize_retention(state, target, &arn, properties)?;
    let groups = &mut state.caller_region(target.ctx).log_groups;
    if groups.contains_key(&name) {
        return Err(already_exists("AWS::Logs::LogGroup", &name));
    }
    let group = LogGroup { name: name.clone(), retention_days, tags: tags(properties), created_at: target.ctx.now };
    groups.insert(name.clone(), group);
    Ok(PhysicalResource::new(name).with("Arn", format!("{arn}:*")))
}

pub(super) fn update(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.clone().unwrap_or_default();
    let retention_days = authorize_retention(state, target, &arn(target, &name), properties)?;
    let group = state.caller_region(target.ctx).log_groups.get_mut(&name);
    let group = group.ok_or_else(|| handler_error("The specified log group does not exist.", "NotFound"))?;
    group.retention_days = retention_days;
    group.tags = tags(properties);
    Ok(())
}

pub(super) fn delete(state: &mut State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    let name = resource.physical_id.clone().unwrap_or_default();
    target.authorize(state, "logs:DeleteLogGroup", &arn(target, &name))?;
    state.caller_region(target.ctx).log_groups.remove(&name);
    Ok(())
}

fn authorize_retention(
    state: &State,
    target: &ResourceContext<'_>,
    arn: &str,
    properties: &Value,
) -> Result<Option<i64>, String> {
    let Some(days) = number(properties, "RetentionInDays") else { return Ok(None) };
    if !RETENTION_PERIODS_DAYS.contains(&days) {
        return Err(handler_error(&format!("{days} is not a valid RetentionInDays"), "InvalidRequest"));
    }
    target.authorize(state, "logs:PutRetentionPolicy", arn)?;
    Ok(Some(days))
}

fn arn(target: &ResourceContext<'_>, name: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{name}", target.ctx.region, target.account())
}
