//! API calls about alarms.

use serde_json::{Map, Value, json};
use winterbaume_core::MockResponse;

use super::{AlarmState, alarm_arn, normalize, respond, wire};
use crate::world::shape::{InputMember, Shape, check, matching, optional, required, text};
use crate::world::{AwsError, Ctx, Request, State, page};

/// Number of alarms per page, unless the request has MaxRecords.
const PAGE_SIZE: usize = 50;

const NAME: Shape = text(1, 255);
const STATES: Shape = Shape::OneOf(&["OK", "ALARM", "INSUFFICIENT_DATA"]);
const ACTIONS: Shape = Shape::List(5, &text(1, 1_024));
const POSITIVE: Shape = Shape::Number { min: 1, max: i64::MAX };
const COMPARISONS: Shape = Shape::OneOf(&[
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
]);
const TYPES: Shape = Shape::OneOf(&["CompositeAlarm", "MetricAlarm", "LogAlarm"]);
const DIMENSION: Shape = Shape::Structure(&[required("Name", text(1, 255)), required("Value", text(1, 1_024))]);

const DESCRIBE_ALARMS: &[InputMember] = &[
    optional("AlarmNames", Shape::List(100, &NAME)),
    optional("AlarmNamePrefix", NAME),
    optional("AlarmTypes", Shape::List(100, &TYPES)),
    optional("StateValue", STATES),
    optional("ActionPrefix", text(1, 1_024)),
    optional("MaxRecords", Shape::Number { min: 1, max: 100 }),
];

const SET_ALARM_STATE: &[InputMember] =
    &[required("AlarmName", NAME), required("StateValue", STATES), required("StateReason", text(0, 1_023))];

const DELETE_ALARMS: &[InputMember] = &[required("AlarmNames", Shape::List(100, &NAME))];

const PUT_METRIC_ALARM: &[InputMember] = &[
    required("AlarmName", NAME),
    optional("AlarmDescription", text(0, 1_024)),
    optional("OKActions", ACTIONS),
    optional("AlarmActions", ACTIONS),
    optional("InsufficientDataActions", ACTIONS),
    optional("MetricName", text(1, 255)),
    optional("Namespace", matching(1, 255, "[^:].*")),
    optional("Statistic", Shape::OneOf(&["SampleCount", "Average", "Sum", "Minimum", "Maximum"])),
    optional("Dimensions", Shape::List(30, &DIMENSION)),
    optional("Period", POSITIVE),
    required("EvaluationPeriods", POSITIVE),
    optional("DatapointsToAlarm", POSITIVE),
    required("ComparisonOperator", COMPARISONS),
    optional("TreatMissingData", Shape::OneOf(&["breaching", "notBreaching", "ignore", "missing"])),
];

/// Handles a CloudWatch API call.
pub(crate) fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::input(request).ok_or_else(|| AwsError::serialization("The request cannot be read."))?;
    let output = match operation {
        "DescribeAlarms" => describe_alarms(state, ctx, &input),
        "PutMetricAlarm" => put_metric_alarm(state, ctx, input),
        "SetAlarmState" => set_alarm_state(state, ctx, &input),
        "DeleteAlarms" => delete_alarms(state, ctx, &input),
        _ => Err(AwsError::new("InvalidAction", format!("The sandbox does not simulate the operation {operation}."))),
    };
    Ok(respond(request, &output?, &ctx.request_id))
}

/// Validates the configuration of an alarm. Returns the violated constraint as the error.
pub(crate) fn check_configuration(configuration: &Map<String, Value>) -> Result<(), String> {
    check(PUT_METRIC_ALARM, &Value::Object(configuration.clone()))
        .map_err(|violation| format!("{}: {}", violation.member, violation.constraint))?;
    let has = |member: &str| configuration.contains_key(member);
    if has("MetricName") == has("Metrics") {
        return Err("Exactly one of MetricName and Metrics must be set".to_owned());
    }
    let needed = if has("MetricName") { &["Namespace", "Period", "Threshold"][..] } else { &[] };
    match needed.iter().find(|member| !has(member) && !has("ThresholdMetricId")) {
        Some(missing) => Err(format!("{missing}: Member must not be null")),
        None if has("MetricName") && has("Statistic") == has("ExtendedStatistic") => {
            Err("Exactly one of Statistic and ExtendedStatistic must be set".to_owned())
        }
        None => Ok(()),
    }
}

fn describe_alarms(state: &mut State, ctx: &Ctx, input: &Value) -> Result<Value, AwsError> {
    check_input(DESCRIBE_ALARMS, input)?;
    let field = |name: &str| input.get(name).and_then(Value::as_str);
    let list = |name: &str| -> Vec<&str> {
        let items = input.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect()
    };
    let (names, types) = (list("AlarmNames"), list("AlarmTypes"));
    let max = input.get("MaxRecords").and_then(|max| max.as_u64().or_else(|| max.as_str()?.parse().ok()));
    let alarms = state.caller_region(ctx).alarms.iter().filter(|(name, alarm)| {
        let actions = ["OKActions", "AlarmActions", "InsufficientDataActions"];
        let actions = actions.iter().filter_map(|list| alarm.configuration.get(*list)?.as_array()).flatten();
        let mut actions = actions.filter_map(Value::as_str);
        // Without AlarmTypes only metric alarms are listed, and the sandbox has no other alarms.
        (types.is_empty() || types.contains(&"MetricAlarm"))
            && (names.is_empty() || names.contains(&name.as_str()))
            && field("AlarmNamePrefix").is_none_or(|prefix| name.starts_with(prefix))
            && field("StateValue").is_none_or(|state| alarm.state.as_str() == state)
            && field("ActionPrefix").is_none_or(|prefix| actions.any(|action| action.starts_with(prefix)))
    });
    let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_SIZE);
    let invalid = || AwsError::new("InvalidNextToken", "The NextToken is invalid.");
    let (found, next_token) = page(ctx, alarms, field("NextToken"), Some(max), invalid)?;
    let alarm = |(name, alarm): (&String, &super::Alarm)| {
        alarm.to_json(name, &alarm_arn(&ctx.region, &ctx.caller.account, name))
    };
    let mut output = json!({
        "MetricAlarms": found.into_iter().map(alarm).collect::<Vec<_>>(),
        "CompositeAlarms": [],
    });
    if let Some(next_token) = next_token {
        output["NextToken"] = next_token.into();
    }
    Ok(output)
}

fn put_metric_alarm(state: &mut State, ctx: &Ctx, input: Value) -> Result<Value, AwsError> {
    let Value::Object(mut configuration) = input else {
        return Err(validation("The request must be an object."));
    };
    normalize(&mut configuration);
    check_configuration(&configuration).map_err(validation)?;
    let name = configuration.get("AlarmName").and_then(Value::as_str).unwrap_or_default().to_owned();
    state.caller_region(ctx).alarms.put(&name, configuration, ctx.now);
    Ok(Value::Null)
}

fn set_alarm_state(state: &mut State, ctx: &Ctx, input: &Value) -> Result<Value, AwsError> {
    check_input(SET_ALARM_STATE, input)?;
    let field = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let new = AlarmState::parse(field("StateValue")).ok_or_else(|| validation("StateValue is invalid."))?;
    let region = state.caller_region(ctx);
    if !region.alarms.set_state(field("AlarmName"), new, field("StateReason"), ctx.now) {
        return Err(not_found(field("AlarmName")));
    }
    region.stacks.check_triggers(ctx.now);
    state.advance(&ctx.settings, ctx.now);
    Ok(Value::Null)
}

/// Deletes alarms, or none if one of them does not exist.
fn delete_alarms(state: &mut State, ctx: &Ctx, input: &Value) -> Result<Value, AwsError> {
    check_input(DELETE_ALARMS, input)?;
    let names = input.get("AlarmNames").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = names.collect();
    let region = state.caller_region(ctx);
    if let Some(missing) = names.iter().find(|name| region.alarms.get(name).is_none()) {
        return Err(not_found(missing));
    }
    for name in names {
        region.alarms.remove(name);
    }
    region.stacks.check_triggers(ctx.now);
    Ok(Value::Null)
}

fn check_input(members: &[InputMember], input: &Value) -> Result<(), AwsError> {
    check(members, input).map_err(|violation| {
        validation(format!(
            "1 validation error detected: Value at '{}' failed to satisfy constraint: {}",
            violation.member, violation.constraint
        ))
    })
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

fn not_found(name: &str) -> AwsError {
    AwsError::new("ResourceNotFound", format!("Alarm {name} does not exist")).status(404)
}
