//! Metric alarms of one account and region.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Reason of the state of a new alarm.
const INITIAL_REASON: &str = "Unchecked: Initial alarm creation";

/// Members of an alarm that are whole numbers, numbers and flags. Forms and templates may contain them as texts.
const INTEGERS: [&str; 3] = ["DatapointsToAlarm", "EvaluationPeriods", "Period"];
const NUMBERS: [&str; 1] = ["Threshold"];
const FLAGS: [&str; 1] = ["ActionsEnabled"];

/// State of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmState {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "ALARM")]
    Alarm,
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl AlarmState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData].into_iter().find(|state| state.as_str() == text)
    }
}

/// A metric alarm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarm {
    pub state: AlarmState,
    reason: String,
    /// Time at which the alarm got its state.
    pub changed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Members of PutMetricAlarm, such as `MetricName` and `Threshold`.
    pub(crate) configuration: Map<String, Value>,
}

/// Alarms of one account and region by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Alarms(BTreeMap<String, Alarm>);

impl Alarms {
    pub fn get(&self, name: &str) -> Option<&Alarm> {
        self.0.get(name)
    }

    /// Returns the alarms by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Alarm)> {
        self.0.iter()
    }

    /// Creates an alarm with the state INSUFFICIENT_DATA, or replaces the configuration of an existing alarm.
    pub(crate) fn put(&mut self, name: &str, configuration: Map<String, Value>, now: DateTime<Utc>) {
        let new = || Alarm {
            state: AlarmState::InsufficientData,
            reason: INITIAL_REASON.to_owned(),
            changed_at: now,
            updated_at: now,
            configuration: Map::new(),
        };
        let alarm = self.0.entry(name.to_owned()).or_insert_with(new);
        alarm.configuration = configuration;
        alarm.updated_at = now;
    }

    /// Sets the state of an alarm. Returns whether the alarm exists.
    pub(super) fn set_state(&mut self, name: &str, state: AlarmState, reason: &str, now: DateTime<Utc>) -> bool {
        let Some(alarm) = self.0.get_mut(name) else { return false };
        if alarm.state != state {
            alarm.changed_at = now;
        }
        alarm.state = state;
        reason.clone_into(&mut alarm.reason);
        true
    }

    /// Sets a member of the configuration of an alarm. Returns whether the alarm exists.
    pub(crate) fn change(&mut self, name: &str, member: &str, value: Value) -> bool {
        let Some(alarm) = self.0.get_mut(name) else { return false };
        alarm.configuration.insert(member.to_owned(), value);
        true
    }

    /// Deletes an alarm. Returns whether the alarm existed.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }
}

impl Alarm {
    /// Returns the alarm as in DescribeAlarms. Times are in seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "the milliseconds of a date have at most 44 bits")]
    pub(super) fn to_json(&self, name: &str, arn: &str) -> Value {
        let seconds = |at: DateTime<Utc>| json!(at.timestamp_millis() as f64 / 1_000.0);
        let mut alarm = json!({
            "AlarmName": name,
            "AlarmArn": arn,
            "AlarmConfigurationUpdatedTimestamp": seconds(self.updated_at),
            "ActionsEnabled": true,
            "OKActions": [],
            "AlarmActions": [],
            "InsufficientDataActions": [],
            "StateValue": self.state.as_str(),
            "StateReason": self.reason,
            "StateUpdatedTimestamp": seconds(self.changed_at),
            "StateTransitionedTimestamp": seconds(self.changed_at),
            "Dimensions": [],
        });
        if let Some(alarm) = alarm.as_object_mut() {
            let configuration = self.configuration.iter().filter(|(member, _)| *member != "Tags");
            alarm.extend(configuration.map(|(member, value)| (member.clone(), value.clone())));
        }
        alarm
    }
}

/// Converts the members of a configuration that are numbers or flags in the API, but may be texts or integers in a form
/// or in a template.
pub(crate) fn normalize(configuration: &mut Map<String, Value>) {
    for (member, value) in configuration.iter_mut() {
        // AWS answers with a floating-point number, as its SDKs expect, also if a template has an integer.
        if let Some(number) = value.as_f64().filter(|_| NUMBERS.contains(&member.as_str())) {
            *value = Value::from(number);
        }
        let Some(text) = value.as_str() else { continue };
        let converted = match member.as_str() {
            integer if INTEGERS.contains(&integer) => text.parse::<i64>().ok().map(Value::from),
            number if NUMBERS.contains(&number) => text.parse::<f64>().ok().map(Value::from),
            flag if FLAGS.contains(&flag) => text.parse::<bool>().ok().map(Value::from),
            _ => None,
        };
        if let Some(converted) = converted {
            *value = converted;
        }
    }
}

pub(crate) fn alarm_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}")
}
