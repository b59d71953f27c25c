//! Showing operations as they go: a line for each event, and on a terminal a bar for each operation below.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use freehold_api::schema::{Environment, Operation, OperationEvent, Tenant};
use futures::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::client::{Api, in_path};
use crate::event_stream::follow;
use crate::format_queue;
use crate::output::{self, Format, SCREEN};

/// Where the lines go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lines {
    /// They are what was asked for.
    Data(Format),
    /// They pass the time until the data comes.
    Messages,
}

/// Shows the onboarding of a tenant's environments until each is ready or waits for a person, and answers whether all
/// are ready.
pub(crate) async fn watch(api: &Api, tenants: &[&Tenant], lines: Lines) -> Result<bool> {
    let width = tenants.iter().flat_map(|tenant| tenant.environments.iter().map(|one| label(tenant, one)));
    let width = width.map(|label| label.chars().count()).max().unwrap_or(0);
    let every = tenants.iter().flat_map(|tenant| tenant.environments.iter().map(move |one| (tenant, one)));
    let followed = every.map(async |(tenant, environment)| {
        let label = label(tenant, environment);
        let mut track = Track::new(format!("{label:width$}"), environment.created_at, lines);
        track.show_place(&api.get(&format!("/v1/operations/{}", in_path(&environment.operation_id)), &[]).await?)?;
        let operation = follow(api, &environment.operation_id, |event| track.show(event)).await?;
        track.end(&operation.state);
        anyhow::Ok(operation.state == "succeeded")
    });
    Ok(try_join_all(followed).await?.into_iter().all(|ready| ready))
}

/// What an environment is called among several tenants.
fn label(tenant: &Tenant, environment: &Environment) -> String {
    format!("{} ({})", tenant.company_name, environment.name)
}

/// One operation on its way.
struct Track {
    label: String,
    began: DateTime<Utc>,
    lines: Lines,
    bar: ProgressBar,
    /// What each step that is under way waits for.
    under_way: BTreeMap<String, String>,
}

impl Track {
    fn new(label: String, began: DateTime<Utc>, lines: Lines) -> Self {
        let bar = SCREEN.add(ProgressBar::new(freehold_worker::onboarding::ONBOARDING.len() as u64));
        // A template that is wrong would leave the plain bar.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {bar:10} {pos:>2}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(label.clone());
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Self { label, began, lines, bar, under_way: BTreeMap::new() }
    }

    /// Where the operation stands in line, if it does.
    fn show_place(&self, operation: &Operation) -> Result<()> {
        let Some(queue) = &operation.queue else { return Ok(()) };
        let line = format!("{:5}  {}  {}", "", self.label, format_queue::told(queue));
        match self.lines {
            // Each line of JSON is an event, and this is none.
            Lines::Data(Format::Json) => Ok(()),
            Lines::Data(Format::Table) => Ok(output::line(line)?),
            Lines::Messages => {
                output::note(line);
                Ok(())
            }
        }
    }

    fn show(&mut self, event: &OperationEvent) -> Result<()> {
        let text = told(event);
        if let Some(step) = &event.step {
            match event.r#type.as_str() {
                "step.succeeded" => {
                    self.under_way.remove(step);
                    self.bar.inc(1);
                }
                "step.started" => _ = self.under_way.insert(step.clone(), String::new()),
                _ => _ = self.under_way.insert(step.clone(), text.clone()),
            }
        }
        let under_way = self.under_way.iter().map(|(step, text)| format!("{step} {text}"));
        self.bar.set_message(under_way.map(|text| text.trim_end().to_owned()).collect::<Vec<_>>().join(", "));

        let step = event.step.as_deref().unwrap_or_default();
        let line = format!("{}  {}  {step:17}  {text}", clock(event.occurred_at - self.began), self.label);
        match self.lines {
            Lines::Data(Format::Json) => output::json_line(event),
            Lines::Data(Format::Table) => Ok(output::line(line)?),
            Lines::Messages => {
                output::note(line);
                Ok(())
            }
        }
    }

    fn end(&self, state: &str) {
        self.bar.finish_and_clear();
        SCREEN.remove(&self.bar);
        tracing::debug!(label = self.label, state, "the operation is not followed any longer");
    }
}

/// An event in a few words.
fn told(event: &OperationEvent) -> String {
    let more = |name: &str| event.more.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match event.r#type.as_str() {
        "operation.accepted" if more("kind").is_empty() => format!("signed up for {}", more("home_region")),
        "operation.accepted" => format!("{} was asked for", more("kind")),
        "operation.recovered" => "needs nobody any more".to_owned(),
        "operation.canceled" => format!("is canceled, as {} asked", more("by")),
        "operation.approval.requested" => format!("{} is to be approved, as {} asked", more("action"), more("by")),
        "operation.approval.granted" => format!("{} is approved by {}", more("action"), more("by")),
        "operation.approval.rejected" => format!("{} is rejected by {}", more("action"), more("by")),
        "environment.account.released" => format!("has parted with the AWS account {}", more("aws_account_id")),
        "environment.offboarded" => "is gone".to_owned(),
        "operation.started" => "a worker begins".to_owned(),
        "operation.needs_attention" => format!("needs attention: {} ({})", more("message"), more("code")),
        "operation.retried" => format!("is tried again, as {} asked", more("by")),
        "operation.succeeded" => "succeeded".to_owned(),
        "step.started" => "begins".to_owned(),
        "step.waiting" => format!("waits for {}", more("waits_for")),
        "step.retrying" => format!("will try again: {}", more("error")),
        "step.succeeded" => "done".to_owned(),
        "environment.account.assigned" => format!("has the AWS account {}", more("aws_account_id")),
        "environment.ready" => "is ready".to_owned(),
        unknown => unknown.to_owned(),
    }
}

/// Minutes and seconds, with hours where there are any.
pub(crate) fn clock(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:2}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_a_stop_watch() {
        assert_eq!(clock(TimeDelta::seconds(7)), " 0:07");
        assert_eq!(clock(TimeDelta::seconds(754)), "12:34");
        assert_eq!(clock(TimeDelta::seconds(3_661)), "1:01:01");
        assert_eq!(clock(TimeDelta::seconds(-3)), " 0:00");
    }
}
