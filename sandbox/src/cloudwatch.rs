//! Simulated CloudWatch: metric alarms, whose state the API or a test sets. Metrics are not simulated.
//!
//! | topic | file |
//! |---|---|
//! | state of alarms | `alarm.rs` |
//! | DescribeAlarms, PutMetricAlarm, SetAlarmState, DeleteAlarms | `operations.rs` |
//! | wire formats, of which clients choose one | `wire.rs`, `cbor.rs` |

mod alarm;
mod cbor;
mod operations;
#[cfg(test)]
mod tests;
mod wire;

use http::HeaderMap;
use serde_json::Value;
use std::collections::HashMap;
use winterbaume_core::MockResponse;

pub use alarm::{Alarm, AlarmState, Alarms};
pub(crate) use alarm::{alarm_arn, normalize};
pub(crate) use operations::{call, check_configuration};
pub(crate) use wire::error;

use crate::world::{Ctx, Request, World};

/// Returns the operation of a request, or an empty text if the request names none.
pub(crate) fn operation(headers: &HeaderMap, path: &str, params: &HashMap<String, String>) -> String {
    wire::operation(headers, path, params)
}

/// Returns the ARNs of the alarms in a request. A request without names is about all alarms of the region.
pub(crate) fn alarm_arns(ctx: &Ctx, request: &Request) -> Vec<String> {
    let input = wire::input(request).unwrap_or_default();
    let names = input.get("AlarmNames").and_then(Value::as_array).into_iter().flatten();
    let names = names.chain(input.get("AlarmName")).filter_map(Value::as_str);
    let arns: Vec<String> = names.map(|name| alarm_arn(&ctx.region, &ctx.caller.account, name)).collect();
    if arns.is_empty() { vec![alarm_arn(&ctx.region, &ctx.caller.account, "*")] } else { arns }
}

impl World {
    /// Sets the state of an alarm. Stacks whose rollback triggers contain the alarm notice the change. Returns whether
    /// the alarm exists.
    pub fn set_alarm_state(&self, account: &str, region: &str, alarm: &str, new: AlarmState) -> bool {
        let now = self.clock().now();
        let mut state = self.state();
        state.advance(self.settings(), now);
        let found = state.accounts.get_mut(account).and_then(|account| account.regions.get_mut(region));
        let exists = found.is_some_and(|region| {
            region.stacks.check_triggers(now);
            region.alarms.set_state(alarm, new, "Set by a test", now)
        });
        state.advance(self.settings(), now);
        exists
    }

    /// Deletes an alarm, as a person in the account can. Returns whether the alarm existed.
    pub fn delete_alarm(&self, account: &str, region: &str, alarm: &str) -> bool {
        let mut state = self.state();
        let found = state.accounts.get_mut(account).and_then(|account| account.regions.get_mut(region));
        found.is_some_and(|region| region.alarms.remove(alarm))
    }
}

/// Returns a successful response in the wire format of the request.
fn respond(request: &Request, output: &Value, request_id: &str) -> MockResponse {
    wire::respond(request, output, request_id)
}
