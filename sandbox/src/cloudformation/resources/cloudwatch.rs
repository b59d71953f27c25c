//! `AWS::CloudWatch::Alarm`.

use serde_json::{Map, Value};

use super::{PhysicalResource, ResourceContext, already_exists, handler_error};
use crate::cloudformation::Resource;
use crate::cloudwatch::{alarm_arn, check_configuration, normalize};
use crate::world::State;

pub(super) fn create(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    let name = target.resource_name(state, properties, "AlarmName", 255);
    let arn = arn(target, &name);
    authorize(state, target, &arn, properties)?;
    let configuration = configuration(properties, &name)?;
    let alarms = &mut state.caller_region(target.ctx).alarms;
    if alarms.get(&name).is_some() {
        return Err(already_exists("AWS::CloudWatch::Alarm", &name));
    }
    alarms.put(&name, configuration, target.ctx.now);
    Ok(PhysicalResource::new(name).with("Arn", arn))
}

pub(super) fn update(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let name = before.physical_id.clone().unwrap_or_default();
    authorize(state, target, &arn(target, &name), properties)?;
    let configuration = configuration(properties, &name)?;
    state.caller_region(target.ctx).alarms.put(&name, configuration, target.ctx.now);
    Ok(())
}

pub(super) fn delete(state: &mut State, target: &ResourceContext<'_>, resource: &Resource) -> Result<(), String> {
    let name = resource.physical_id.clone().unwrap_or_default();
    target.authorize(state, "cloudwatch:DeleteAlarms", &arn(target, &name))?;
    state.caller_region(target.ctx).alarms.remove(&name);
    Ok(())
}

fn authorize(state: &State, target: &ResourceContext<'_>, arn: &str, properties: &Value) -> Result<(), String> {
    target.authorize(state, "cloudwatch:PutMetricAlarm", arn)?;
    target.authorize(state, "cloudwatch:DescribeAlarms", arn)?;
    match properties.get("Tags") {
        Some(_) => target.authorize(state, "cloudwatch:TagResource", arn),
        None => Ok(()),
    }
}

/// Returns the members of PutMetricAlarm, which have the same names as the properties.
fn configuration(properties: &Value, name: &str) -> Result<Map<String, Value>, String> {
    let mut configuration = properties.as_object().cloned().unwrap_or_default();
    configuration.insert("AlarmName".to_owned(), name.into());
    normalize(&mut configuration);
    check_configuration(&configuration).map_err(|problem| handler_error(&problem, "InvalidRequest"))?;
    Ok(configuration)
}

fn arn(target: &ResourceContext<'_>, name: &str) -> String {
    alarm_arn(&target.ctx.region, target.account(), name)
}
