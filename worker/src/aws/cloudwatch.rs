//! CloudWatch calls inside a tenant's account.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use freehold_tenancy::Region;

use super::Aws;
use crate::cloud::{Alarm, AlarmState, Result, Role, Target};

/// Maximum number of names in one call.
const MAX_NAMES: usize = 100;

/// Maximum number of alarms in one response, so that the named alarms fit into one.
const MAX_RECORDS: i32 = 100;

impl Aws {
    /// Returns the alarms with these ARNs in `region`, metric alarms and composite alarms. Missing alarms are absent.
    pub async fn alarms(&self, account: &Target, region: Region, arns: &[String]) -> Result<Vec<Alarm>> {
        let session = self.tenant_session(account, Role::Access).await?;
        let client = session.client(region.as_str(), Client::new);
        let names: Vec<_> = arns.iter().filter_map(|arn| arn.split_once(":alarm:")).map(|(_, name)| name).collect();
        let mut alarms = Vec::new();
        for names in names.chunks(MAX_NAMES) {
            let request = client
                .describe_alarms()
                .set_alarm_names(Some(names.iter().map(|&name| name.to_owned()).collect()))
                // By default, AWS returns fewer alarms.
                .max_records(MAX_RECORDS)
                // Without types, AWS omits composite alarms.
                .alarm_types(AlarmType::MetricAlarm)
                .alarm_types(AlarmType::CompositeAlarm);
            let response = self.send(&session, "cloudwatch:DescribeAlarms", request.send()).await?;
            let metric = response.metric_alarms.unwrap_or_default().into_iter();
            alarms.extend(metric.filter_map(|one| alarm(one.alarm_arn, one.state_value, one.state_reason)));
            let composite = response.composite_alarms.unwrap_or_default().into_iter();
            alarms.extend(composite.filter_map(|one| alarm(one.alarm_arn, one.state_value, one.state_reason)));
        }
        Ok(alarms)
    }
}

fn alarm(arn: Option<String>, state: Option<StateValue>, reason: Option<String>) -> Option<Alarm> {
    let state = match state {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        _ => AlarmState::Unknown,
    };
    Some(Alarm { arn: arn?, state, reason: reason.unwrap_or_else(|| "AWS gives no reason".to_owned()) })
}
