//! Timeline of an operation: one bar per step on a common time axis.

use chrono::{DateTime, TimeDelta, Utc};

use super::labels::{self, Instant, State};
use crate::routes::schema::operation::{Operation, Step};

/// Minimum width of a bar in percent, so that a step of a moment is visible.
const MIN_WIDTH: f64 = 0.8;

/// Number of labelled times on the axis.
const TICKS: i32 = 4;

/// Row of a step.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) name: String,
    pub(super) state: State,
    /// Position of the bar in percent; `None` if the step has not started.
    pub(super) bar: Option<Bar>,
    /// Duration of the step, or the reason why it has none.
    pub(super) took: String,
    /// Sentences about the step.
    pub(super) notes: Vec<String>,
    pub(super) aws_request_id: Option<String>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) is_open: bool,
}

/// Bar on the time axis.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) start: String,
    pub(super) width: String,
    pub(super) class: &'static str,
    /// Fill of a hatched bar.
    pub(super) fill: Option<&'static str>,
}

/// Label on the time axis.
pub(super) struct Tick {
    pub(super) position: String,
    pub(super) label: String,
}

pub(super) struct Timeline {
    pub(super) rows: Vec<Row>,
    pub(super) ticks: Vec<Tick>,
    pub(super) summary: String,
}

/// Returns the timeline of an operation at the time `now`.
pub(super) fn of(operation: &Operation, now: DateTime<Utc>) -> Timeline {
    let steps = operation.steps.as_deref().unwrap_or_default();
    let axis = Axis { start: operation.created_at, end: operation.finished_at.unwrap_or(now) };
    let is_over = |step: &&Step| matches!(step.state.as_str(), "done" | "skipped");
    Timeline {
        rows: steps.iter().map(|step| row(step, &axis)).collect(),
        ticks: axis.ticks(),
        summary: format!("{} of {} steps are done", steps.iter().filter(is_over).count(), steps.len()),
    }
}

fn row(step: &Step, axis: &Axis) -> Row {
    let end = step.finished_at.unwrap_or(axis.end);
    let needs_person = step.attention.is_some();
    let (class, fill) = match step.state.as_str() {
        "done" => ("work", None),
        _ if needs_person => ("attention", Some("url(#hatch-attention)")),
        "waiting" => ("wait", Some("url(#hatch-wait)")),
        "failed" => ("fail", None),
        _ => ("line", None),
    };
    let bar = step.started_at.map(|start| {
        let (start, width) = axis.place(start, end);
        Bar { start: format!("{start:.2}%"), width: format!("{width:.2}%"), class, fill }
    });
    let took = match (step.state.as_str(), step.started_at) {
        ("skipped", _) => "not needed".to_owned(),
        (_, Some(start)) => labels::duration(end - start),
        (_, None) => "not started".to_owned(),
    };
    let mut notes = Vec::new();
    notes.extend(step.reason.as_ref().map(|reason| format!("Skipped: {reason}.")));
    notes.extend(step.waits_for.as_ref().map(|what| format!("Waits for {what}.")));
    notes.extend(step.check_at.map(|at| format!("Next poll at {}.", Instant::of(at).text)));
    notes.extend(step.attention.as_ref().map(|attention| attention.message.clone()));
    notes.extend(step.last_error.as_ref().map(|error| format!("Latest error: {error}")));
    let times = if step.attempts == 1 { "time" } else { "times" };
    let started = |at| format!("Started at {}; ran {} {times}.", Instant::of(at).text, step.attempts);
    notes.extend(step.started_at.map(started));
    if step.started_at.is_none() && !step.after.is_empty() {
        notes.push(format!("Starts after {}.", step.after.join(", ")));
    }
    Row {
        title: labels::step_title(&step.name),
        name: step.name.clone(),
        state: State::of(if needs_person { "needs_attention" } else { &step.state }),
        bar,
        took,
        notes,
        aws_request_id: step.aws_request_id.clone(),
        facts: step
            .facts
            .iter()
            .map(|(name, value)| (labels::sentence_case(name), labels::value_text(value)))
            .collect(),
        is_open: needs_person,
    }
}

/// Time axis of the bars.
struct Axis {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Axis {
    #[expect(clippy::cast_precision_loss, reason = "the milliseconds of an operation have fewer than 52 bits")]
    fn percent(&self, duration: TimeDelta) -> f64 {
        let total = (self.end - self.start).num_milliseconds().max(1) as f64;
        (duration.num_milliseconds() as f64 / total * 100.0).clamp(0.0, 100.0)
    }

    /// Returns start and width of a bar, which stays on the axis.
    fn place(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> (f64, f64) {
        let start = self.percent(start - self.start).min(100.0 - MIN_WIDTH);
        let width = (self.percent(end - self.start) - start).max(MIN_WIDTH);
        (start, width.min(100.0 - start))
    }

    fn ticks(&self) -> Vec<Tick> {
        let step = (self.end - self.start) / (TICKS + 1);
        let format = if self.end - self.start > TimeDelta::days(1) { "%m-%d %H:%M" } else { "%H:%M:%S" };
        let tick = |number: i32| Tick {
            position: format!("{}%", number * 100 / (TICKS + 1)),
            label: (self.start + step * number).format(format).to_string(),
        };
        (1..=TICKS).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_on_the_axis() {
        let start = DateTime::UNIX_EPOCH;
        let at = |seconds| start + TimeDelta::seconds(seconds);
        let axis = Axis { start, end: at(100) };
        assert_eq!(axis.place(at(10), at(30)), (10.0, 20.0));
        let (begin, width) = axis.place(at(100), at(100));
        assert!(begin + width <= 100.0 && width > MIN_WIDTH - 0.001, "{begin} {width}");
        assert_eq!(axis.place(at(-5), at(200)), (0.0, 100.0));
        let empty = Axis { start, end: start };
        assert_eq!(empty.place(start, start), (0.0, MIN_WIDTH));
    }
}
