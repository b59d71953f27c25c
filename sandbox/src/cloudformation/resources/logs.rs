//! `AWS::Logs::LogGroup`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Made, Place, exists, number, refusal, tags};
use crate::cloudformation::Resource;
use crate::world::State;

/// The retentions that CloudWatch Logs knows, days.
const RETENTIONS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// A CloudWatch log group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogGroup {
    /// Name, unique within its account and region.
    pub name: String,
    /// For how long it keeps what is written, days; for ever where there is none.
    pub retention_days: Option<i64>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

pub(super) fn create(state: &mut State, place: &Place<'_>, properties: &Value) -> Result<Made, String> {
    let name = place.named(state, properties, "LogGroupName", 512);
    let arn = arn(place, &name);
    place.may(state, "logs:CreateLogGroup", &arn)?;
    let retention_days = retention(state, place, &arn, properties)?;
    let groups = &mut state.caller_region(place.ctx).log_groups;
    if groups.contains_key(&name) {
        return Err(exists("AWS::Logs::LogGroup", &name));
    }
    let group = LogGroup { name: name.clone(), retention_days, tags: tags(properties), created_at: place.ctx.now };
    groups.insert(name.clone(), group);
    Ok(Made::new(name).with("Arn", format!("{arn}:*")))
}

pub(super) fn update(
    state: &mut State,
    place: &Place<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.clone().unwrap_or_default();
    let retention_days = retention(state, place, &arn(place, &name), properties)?;
    let group = state.caller_region(place.ctx).log_groups.get_mut(&name);
    let group = group.ok_or_else(|| refusal("The specified log group does not exist.", "NotFound"))?;
    group.retention_days = retention_days;
    group.tags = tags(properties);
    Ok(())
}

pub(super) fn delete(state: &mut State, place: &Place<'_>, resource: &Resource) -> Result<(), String> {
    let name = resource.physical_id.clone().unwrap_or_default();
    place.may(state, "logs:DeleteLogGroup", &arn(place, &name))?;
    state.caller_region(place.ctx).log_groups.remove(&name);
    Ok(())
}

fn retention(state: &State, place: &Place<'_>, arn: &str, properties: &Value) -> Result<Option<i64>, String> {
    let Some(days) = number(properties, "RetentionInDays") else { return Ok(None) };
    if !RETENTIONS.contains(&days) {
        return Err(refusal(&format!("{days} is not a valid RetentionInDays"), "InvalidRequest"));
    }
    place.may(state, "logs:PutRetentionPolicy", arn)?;
    Ok(Some(days))
}

fn arn(place: &Place<'_>, name: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{name}", place.ctx.region, place.account())
}
