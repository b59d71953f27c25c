//! Properties of the simulated resources as they are, and changes of them outside CloudFormation.

use serde_json::{Map, Value, json};

use crate::World;
use crate::world::State;

/// Properties of a resource as it is.
pub(super) enum Actual {
    /// The sandbox does not simulate resources of this type.
    NotSimulated,
    Deleted,
    Properties(Map<String, Value>),
}

/// Returns the action that CloudFormation needs to read a resource of a type, or `None` for a type whose drift the
/// sandbox does not detect.
pub(super) fn read_action(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "AWS::CloudWatch::Alarm" => "cloudwatch:DescribeAlarms",
        "AWS::IAM::Role" => "iam:GetRole",
        "AWS::Lambda::Function" => "lambda:GetFunction",
        "AWS::Logs::LogGroup" => "logs:DescribeLogGroups",
        _ => return None,
    })
}

/// Returns the properties of a type that drift detection compares.
pub(super) fn compared_properties(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::CloudWatch::Alarm" => &[
            "ActionsEnabled",
            "AlarmActions",
            "AlarmDescription",
            "ComparisonOperator",
            "DatapointsToAlarm",
            "EvaluationPeriods",
            "MetricName",
            "Namespace",
            "OKActions",
            "Period",
            "Statistic",
            "Threshold",
            "TreatMissingData",
        ],
        "AWS::IAM::Role" => &["ManagedPolicyArns", "MaxSessionDuration", "RoleName"],
        "AWS::Lambda::Function" => {
            &["Environment", "FunctionName", "Handler", "MemorySize", "Role", "Runtime", "Timeout"]
        }
        "AWS::Logs::LogGroup" => &["LogGroupName", "RetentionInDays"],
        _ => &[],
    }
}

/// Reads the compared properties of a resource.
pub(super) fn read(state: &State, account: &str, region: &str, kind: &str, id: &str) -> Actual {
    let Some(account) = state.accounts.get(account) else { return Actual::Deleted };
    let Some(region) = account.regions.get(region) else { return Actual::Deleted };
    let properties = match kind {
        "AWS::CloudWatch::Alarm" => region.alarms.get(id).map(|alarm| Value::Object(alarm.configuration.clone())),
        "AWS::IAM::Role" => account.roles.get(id).map(|role| {
            json!({
                "RoleName": role.name,
                "ManagedPolicyArns": role.managed,
                "MaxSessionDuration": role.max_session_seconds,
            })
        }),
        "AWS::Lambda::Function" => region.functions.get(id).map(|function| {
            json!({
                "FunctionName": function.name,
                "Role": function.role,
                "Runtime": function.runtime,
                "Handler": function.handler,
                "MemorySize": function.memory_mb,
                "Timeout": function.timeout_seconds,
                "Environment": { "Variables": function.environment },
            })
        }),
        "AWS::Logs::LogGroup" => region.log_groups.get(id).map(|group| match group.retention_days {
            Some(days) => json!({ "LogGroupName": group.name, "RetentionInDays": days }),
            None => json!({ "LogGroupName": group.name }),
        }),
        _ => return Actual::NotSimulated,
    };
    match properties {
        Some(Value::Object(properties)) => Actual::Properties(properties),
        _ => Actual::Deleted,
    }
}

impl World {
    /// Changes a property of a resource outside CloudFormation, as a person with the console would. Supports
    /// `RetentionInDays` of a log group (null removes it), `Handler`, `MemorySize`, `Runtime`, `Timeout` and
    /// `Environment` of a function, `MaxSessionDuration` of a role and all properties of an alarm. Returns whether the
    /// resource exists and the property was changed.
    pub fn change_resource(
        &self,
        account: &str,
        region: &str,
        kind: &str,
        physical_id: &str,
        property: &str,
        value: Value,
    ) -> bool {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(account) else { return false };
        if kind == "AWS::IAM::Role" {
            let role = account.roles.get_mut(physical_id).filter(|_| property == "MaxSessionDuration");
            let seconds = value.as_i64().and_then(|seconds| i32::try_from(seconds).ok());
            return role.zip(seconds).map(|(role, seconds)| role.max_session_seconds = seconds).is_some();
        }
        let Some(region) = account.regions.get_mut(region) else { return false };
        match kind {
            "AWS::CloudWatch::Alarm" => region.alarms.change(physical_id, property, value),
            "AWS::Logs::LogGroup" if property == "RetentionInDays" => {
                region.log_groups.get_mut(physical_id).map(|group| group.retention_days = value.as_i64()).is_some()
            }
            "AWS::Lambda::Function" => {
                region.functions.get_mut(physical_id).is_some_and(|function| function.change(property, &value))
            }
            _ => false,
        }
    }

    /// Deletes an alarm, a role, a function or a log group outside CloudFormation. Returns whether it existed.
    pub fn delete_resource(&self, account: &str, region: &str, kind: &str, physical_id: &str) -> bool {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(account) else { return false };
        if kind == "AWS::IAM::Role" {
            return account.roles.remove(physical_id).is_some();
        }
        let Some(region) = account.regions.get_mut(region) else { return false };
        match kind {
            "AWS::CloudWatch::Alarm" => region.alarms.remove(physical_id),
            "AWS::Logs::LogGroup" => region.log_groups.remove(physical_id).is_some(),
            "AWS::Lambda::Function" => {
                let exists = region.functions.get(physical_id).is_some();
                region.functions.remove(physical_id);
                exists
            }
            _ => false,
        }
    }
}
