//! Progress display for operations, with one line per event and, on a terminal, one progress bar per operation.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use freehold_api::schema::{Environment, Operation, OperationEvent, Tenant};
use freehold_tenancy::unicode::escape_invisible;
use futures::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::client::{ApiClient, encode_path_segment};
use crate::event_stream::follow_operation;
use crate::format_queue::format_queue;
use crate::output::{self, Format, PROGRESS_BARS};

/// Destination of the progress lines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ProgressOutput {
    /// Progress lines are the output of the command and are written to stdout.
    Stdout(Format),
    /// Progress lines are messages on stderr; the command writes its data to stdout at the end.
    Stderr,
}

/// Prints the onboarding progress of all environments until each one is ready or needs attention. Returns whether all
/// environments are ready.
pub(crate) async fn watch_tenants(api: &ApiClient, tenants: &[&Tenant], output: ProgressOutput) -> Result<bool> {
    let environments: Vec<_> =
        tenants.iter().flat_map(|tenant| tenant.environments.iter().map(move |one| (tenant, one))).collect();
    let labels = environments.iter().map(|(tenant, environment)| environment_label(tenant, environment));
    let width = labels.map(|label| label.chars().count()).max().unwrap_or(0);
    let followed = environments.into_iter().map(async |(tenant, environment)| {
        let label = environment_label(tenant, environment);
        let mut progress = OperationProgress::new(format!("{label:width$}"), environment, output);
        let path = format!("/v1/operations/{}", encode_path_segment(&environment.operation_id));
        progress.print_queue_position(&api.get(&path, &[]).await?)?;
        let operation = follow_operation(api, &environment.operation_id, |event| progress.print_event(event)).await?;
        progress.finish(&operation.state);
        anyhow::Ok(operation.state == "succeeded")
    });
    Ok(try_join_all(followed).await?.into_iter().all(|ready| ready))
}

fn environment_label(tenant: &Tenant, environment: &Environment) -> String {
    format!("{} ({})", escape_invisible(&tenant.company_name, &[]), environment.name)
}

struct OperationProgress {
    label: String,
    created_at: DateTime<Utc>,
    output: ProgressOutput,
    bar: ProgressBar,
    /// Latest message of each running step.
    running_steps: BTreeMap<String, String>,
}

impl OperationProgress {
    fn new(label: String, environment: &Environment, output: ProgressOutput) -> Self {
        let replicas = environment.regions.iter().filter(|region| region.role == "replica").count();
        let has_front_door = environment.front_door.state != "none";
        let steps = freehold_worker::onboarding::ONBOARD_STEPS.iter().filter(|step| {
            let number = step.name.replica().map_or(0, |(slot, _)| usize::try_from(slot.number()).unwrap_or(0));
            number <= replicas && (has_front_door || step.name.front_door().is_none())
        });
        let bar = PROGRESS_BARS.add(ProgressBar::new(steps.count() as u64));
        // With an invalid template, the bar keeps its default style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {bar:10} {pos:>2}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(label.clone());
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Self { label, created_at: environment.created_at, output, bar, running_steps: BTreeMap::new() }
    }

    /// Prints the queue position of an operation, or the fleet hold that stops it. Prints nothing if the operation is
    /// not queued.
    fn print_queue_position(&self, operation: &Operation) -> Result<()> {
        let text = match (&operation.fleet_hold, &operation.queue) {
            (_, Some(queue)) => format!("queue position {}", format_queue(queue)),
            (Some(hold), None) => hold.message.clone(),
            (None, None) => return Ok(()),
        };
        let line = format!("{:5}  {}  {text}", "", self.label);
        match self.output {
            // The JSON output consists of events only.
            ProgressOutput::Stdout(Format::Json) => Ok(()),
            ProgressOutput::Stdout(Format::Table) => Ok(output::print_line(line)?),
            ProgressOutput::Stderr => {
                output::print_note(line);
                Ok(())
            }
        }
    }

    fn print_event(&mut self, event: &OperationEvent) -> Result<()> {
        let text = escape_invisible(&event_message(event), &[]).into_owned();
        if let Some(step) = &event.step {
            match event.r#type.as_str() {
                "step.succeeded" | "step.skipped" => {
                    self.running_steps.remove(step);
                    self.bar.inc(1);
                }
                "step.started" => _ = self.running_steps.insert(step.clone(), String::new()),
                _ => _ = self.running_steps.insert(step.clone(), text.clone()),
            }
        }
        let steps = self.running_steps.iter().map(|(step, text)| format!("{step} {text}"));
        self.bar.set_message(steps.map(|text| text.trim_end().to_owned()).collect::<Vec<_>>().join(", "));

        let step = event.step.as_deref().unwrap_or_default();
        let elapsed = format_elapsed(event.occurred_at - self.created_at);
        let line = format!("{elapsed}  {}  {step:17}  {text}", self.label);
        match self.output {
            ProgressOutput::Stdout(Format::Json) => output::print_json_line(event),
            ProgressOutput::Stdout(Format::Table) => Ok(output::print_line(line)?),
            ProgressOutput::Stderr => {
                output::print_note(line);
                Ok(())
            }
        }
    }

    fn finish(&self, state: &str) {
        self.bar.finish_and_clear();
        PROGRESS_BARS.remove(&self.bar);
        tracing::debug!(label = self.label, state, "stopped following the operation");
    }
}

/// Returns a short message for an event. For an unknown event, the message is the event type.
fn event_message(event: &OperationEvent) -> String {
    let field = |name: &str| event.more.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match event.r#type.as_str() {
        "operation.accepted" if field("kind").is_empty() => {
            format!("signup accepted, home region {}", field("home_region"))
        }
        "operation.accepted" => format!("{} requested", field("kind")),
        "operation.recovered" => "no longer needs attention".to_owned(),
        "operation.canceled" => format!("canceled by {}", field("by")),
        "operation.approval.requested" => format!("{} requested by {}, needs approval", field("action"), field("by")),
        "operation.approval.granted" => format!("{} approved by {}", field("action"), field("by")),
        "operation.approval.rejected" => format!("{} rejected by {}", field("action"), field("by")),
        "environment.account.released" => format!("AWS account {} released", field("aws_account_id")),
        "environment.offboarded" => "environment offboarded".to_owned(),
        "operation.started" => "claimed by a worker".to_owned(),
        "operation.needs_attention" => format!("needs attention: {} ({})", field("message"), field("code")),
        "operation.failed" => format!("failed: {} ({})", field("message"), field("code")),
        "operation.retried" => format!("retried by {}", field("by")),
        "operation.succeeded" => "operation succeeded".to_owned(),
        "step.started" => "started".to_owned(),
        "step.waiting" => format!("waiting for {}", field("waits_for")),
        "step.skipped" => format!("skipped: {}", field("reason")),
        "step.retrying" => format!("will retry: {}", field("error")),
        "step.succeeded" => "succeeded".to_owned(),
        "environment.account.assigned" => format!("AWS account {} assigned", field("aws_account_id")),
        "environment.ready" => "environment ready".to_owned(),
        "environment.region.ready" => format!("region {} ready", field("region")),
        "environment.region.failed" => {
            format!("region {} failed; freehold tenants show has the reason", field("region"))
        }
        "environment.front_door.deployed" => "front door deployed".to_owned(),
        "environment.front_door.failed" => "front door failed; freehold tenants show has the reason".to_owned(),
        "environment.home_moved" => format!("home moved from {} to {}", field("from"), field("to")),
        unknown => unknown.to_owned(),
    }
}

/// Returns minutes and seconds, preceded by hours if there are any.
pub(crate) fn format_elapsed(elapsed: TimeDelta) -> String {
    let seconds = elapsed.num_seconds().max(0);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:2}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_is_shown_in_minutes_and_seconds() {
        assert_eq!(format_elapsed(TimeDelta::seconds(7)), " 0:07");
        assert_eq!(format_elapsed(TimeDelta::seconds(754)), "12:34");
        assert_eq!(format_elapsed(TimeDelta::seconds(3_661)), "1:01:01");
        assert_eq!(format_elapsed(TimeDelta::seconds(-3)), " 0:00");
    }
}
