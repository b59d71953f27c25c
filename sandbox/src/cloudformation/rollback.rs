//! Rollback configuration of a stack: alarms that roll back an operation, and the time after it in which they do so.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use winterbaume_cloudformation::model;

use super::rules::{constraint_error, enum_error};
use super::validation;
use crate::world::{AwsError, Request};

const MAX_TRIGGERS: usize = 5;
const MAX_MONITORING_MINUTES: i32 = 180;

/// Name of the list of triggers in a request. If the list is empty, the request contains the name without items.
const TRIGGERS: &str = "RollbackConfiguration.RollbackTriggers";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RollbackConfiguration {
    pub(super) triggers: Vec<Trigger>,
    monitoring_minutes: Option<i32>,
}

/// An alarm that rolls back an operation of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trigger {
    pub(super) arn: String,
    /// Resource type of the alarm.
    kind: String,
}

impl RollbackConfiguration {
    /// Returns the configuration of a request. What the request does not contain is the same as in `previous`; an empty
    /// list of triggers removes the previous ones.
    pub(super) fn from_request(
        request: &Request,
        input: Option<model::RollbackConfiguration>,
        previous: &Self,
    ) -> Result<Self, AwsError> {
        let input = input.unwrap_or_default();
        let triggers = match input.rollback_triggers {
            Some(triggers) => triggers.items.into_iter().map(Trigger::parse).collect::<Result<_, _>>()?,
            None if request.params.contains_key(TRIGGERS) => Vec::new(),
            None => previous.triggers.clone(),
        };
        if triggers.len() > MAX_TRIGGERS {
            let rule = format!("Member must have length less than or equal to {MAX_TRIGGERS}");
            return Err(constraint_error("rollbackConfiguration.rollbackTriggers", "[…]", &rule));
        }
        let minutes = input.monitoring_time_in_minutes;
        if let Some(minutes) = minutes.filter(|minutes| !(0..=MAX_MONITORING_MINUTES).contains(minutes)) {
            let rule = if minutes < 0 {
                "Member must have value greater than or equal to 0".to_owned()
            } else {
                format!("Member must have value less than or equal to {MAX_MONITORING_MINUTES}")
            };
            let member = "rollbackConfiguration.monitoringTimeInMinutes";
            return Err(constraint_error(member, &minutes.to_string(), &rule));
        }
        Ok(Self { triggers, monitoring_minutes: minutes.or(previous.monitoring_minutes) })
    }

    /// Returns the time after an operation in which the triggers roll it back.
    pub(super) fn monitoring_time(&self) -> TimeDelta {
        TimeDelta::minutes(self.monitoring_minutes.unwrap_or(0).into())
    }

    pub(super) fn to_model(&self) -> model::RollbackConfiguration {
        let trigger =
            |trigger: &Trigger| model::RollbackTrigger { arn: trigger.arn.clone(), r#type: trigger.kind.clone() };
        model::RollbackConfiguration {
            rollback_triggers: Some(model::RollbackTriggers { items: self.triggers.iter().map(trigger).collect() }),
            monitoring_time_in_minutes: self.monitoring_minutes,
        }
    }
}

impl Trigger {
    fn parse(trigger: model::RollbackTrigger) -> Result<Self, AwsError> {
        if !matches!(trigger.r#type.as_str(), "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm") {
            let member = "rollbackConfiguration.rollbackTriggers.1.member.type";
            return Err(enum_error(member, &trigger.r#type, "AWS::CloudWatch::Alarm, AWS::CloudWatch::CompositeAlarm"));
        }
        if !trigger.arn.starts_with("arn:aws:cloudwatch:") {
            return Err(validation(format!("{} is not the ARN of an alarm", trigger.arn)));
        }
        Ok(Self { arn: trigger.arn, kind: trigger.r#type })
    }

    /// Returns the region, the account and the name of the alarm.
    pub(super) fn parts(&self) -> Option<(&str, &str, &str)> {
        let mut parts = self.arn.splitn(7, ':').skip(3);
        let (region, account, _, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some((region, account, name))
    }
}
