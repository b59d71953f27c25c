//! Drift detection: comparison of the resources of a stack with its template.

mod actual;
mod compare;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_cloudformation::{model, wire};
use winterbaume_core::MockResponse;

use super::read::{format_timestamp, invalid_token};
use super::stack::{Stack, Status};
use super::validation;
use crate::world::{AwsError, Ctx, Request, State, page};

const NOT_CHECKED: &str = "NOT_CHECKED";

/// Statuses of stacks whose drift can be detected.
const DETECTABLE: [Status; 5] = [
    Status::CreateComplete,
    Status::UpdateComplete,
    Status::UpdateRollbackComplete,
    Status::UpdateRollbackFailed,
    Status::DeleteFailed,
];

/// A drift detection of a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DriftDetection {
    id: String,
    started_at: DateTime<Utc>,
    ready_at: DateTime<Utc>,
    /// Reason of the status DETECTION_FAILED; `None` if the detection succeeds.
    failure: Option<String>,
    /// Result by logical id.
    resources: BTreeMap<String, model::StackResourceDrift>,
}

impl DriftDetection {
    fn is_drifted(drift: &model::StackResourceDrift) -> bool {
        matches!(drift.stack_resource_drift_status.as_deref(), Some("MODIFIED" | "DELETED"))
    }

    fn status(&self) -> &'static str {
        if self.resources.values().any(Self::is_drifted) {
            "DRIFTED"
        } else if self.resources.is_empty() && self.failure.is_some() {
            "UNKNOWN"
        } else {
            "IN_SYNC"
        }
    }
}

impl Stack {
    fn finished_detection(&self, now: DateTime<Utc>) -> Option<&DriftDetection> {
        self.drift.as_ref().filter(|detection| detection.ready_at <= now)
    }

    pub(super) fn drift_status(&self, now: DateTime<Utc>) -> &'static str {
        self.finished_detection(now).map_or(NOT_CHECKED, DriftDetection::status)
    }

    pub(super) fn drift_checked_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.finished_detection(now).map(|detection| detection.ready_at)
    }

    /// Returns the drift status of a resource and the time of its check.
    pub(super) fn resource_drift_status(&self, id: &str, now: DateTime<Utc>) -> (String, Option<DateTime<Utc>>) {
        let detection = self.finished_detection(now);
        let drift = detection.and_then(|detection| detection.resources.get(id));
        let status = drift.and_then(|drift| drift.stack_resource_drift_status.clone());
        let checked_at = drift.and(detection).map(|detection| detection.ready_at);
        (status.unwrap_or_else(|| NOT_CHECKED.to_owned()), checked_at)
    }
}

pub(super) fn detect_stack_drift(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_detect_stack_drift_request(&request.params).map_err(validation)?;
    let id = state.ids.uuid();
    let stack = state.caller_region(ctx).stacks.find(&input.stack_name);
    let stack = stack.filter(|stack| stack.status != Status::DeleteComplete);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?.clone();
    if !DETECTABLE.contains(&stack.status) {
        return Err(validation(format!(
            "Drift detection cannot be performed on stack {} in {} state",
            stack.id,
            stack.status.as_str()
        )));
    }
    if stack.drift.as_ref().is_some_and(|detection| detection.ready_at > ctx.now) {
        let message = format!("Drift detection is already in progress for stack {}", stack.id);
        return Err(validation(message));
    }
    let selected = input.logical_resource_ids.map(|ids| ids.items).unwrap_or_default();
    if let Some(unknown) = selected.iter().find(|id| !stack.resources.contains_key(*id)) {
        return Err(validation(format!("Resource {unknown} does not exist for stack {}", stack.name)));
    }
    let duration = ctx.draw_duration(ctx.settings.durations.drift_detection, &format!("{}/{id}", stack.name));
    let ready_at = ctx.now + duration;
    // Resources that are not selected keep their results.
    let previous = stack.drift.as_ref().filter(|_| !selected.is_empty());
    let mut detection = DriftDetection {
        id: id.clone(),
        started_at: ctx.now,
        ready_at,
        failure: None,
        resources: previous.map(|previous| previous.resources.clone()).unwrap_or_default(),
    };
    for resource in stack.present_resources() {
        if !selected.is_empty() && !selected.contains(&resource.logical_id) {
            continue;
        }
        match compare::resource_drift(state, ctx, &stack, resource, ready_at) {
            Ok(drift) => drop(detection.resources.insert(resource.logical_id.clone(), drift)),
            Err(reason) => {
                detection
                    .failure
                    .get_or_insert(format!("Failed to detect drift on resource [{}]: {reason}", resource.logical_id));
            }
        }
    }
    if let Some(stack) = state.caller_region(ctx).stacks.find_mut(&stack.id) {
        stack.drift = Some(detection);
    }
    Ok(wire::serialize_detect_stack_drift_response(&model::DetectStackDriftOutput {
        stack_drift_detection_id: Some(id),
    }))
}

pub(super) fn describe_detection_status(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_stack_drift_detection_status_request(&request.params).map_err(validation)?;
    let id = input.stack_drift_detection_id;
    let mut detections =
        state.caller_region(ctx).stacks.iter().filter_map(|stack| Some((stack, stack.drift.as_ref()?)));
    let found = detections.find(|(_, detection)| detection.id == id);
    let (stack, detection) =
        found.ok_or_else(|| validation(format!("Stack drift detection with id {id} does not exist")))?;
    let is_ready = detection.ready_at <= ctx.now;
    let drifted = detection.resources.values().filter(|drift| DriftDetection::is_drifted(drift)).count();
    let status = match &detection.failure {
        _ if !is_ready => "DETECTION_IN_PROGRESS",
        Some(_) => "DETECTION_FAILED",
        None => "DETECTION_COMPLETE",
    };
    Ok(wire::serialize_describe_stack_drift_detection_status_response(
        &model::DescribeStackDriftDetectionStatusOutput {
            stack_id: Some(stack.id.clone()),
            stack_drift_detection_id: Some(id),
            detection_status: Some(status.into()),
            detection_status_reason: detection.failure.clone().filter(|_| is_ready),
            stack_drift_status: is_ready.then(|| detection.status().to_owned()),
            drifted_stack_resource_count: is_ready.then(|| i32::try_from(drifted).unwrap_or(i32::MAX)),
            timestamp: Some(format_timestamp(if is_ready { detection.ready_at } else { detection.started_at })),
        },
    ))
}

pub(super) fn describe_stack_resource_drifts(
    state: &mut State,
    ctx: &Ctx,
    request: &Request,
) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_stack_resource_drifts_request(&request.params).map_err(validation)?;
    let stack = state.caller_region(ctx).stacks.find(&input.stack_name);
    let stack = stack.ok_or_else(|| validation(format!("Stack [{}] does not exist", input.stack_name)))?;
    let filter = input.stack_resource_drift_status_filters.map(|filter| filter.items).unwrap_or_default();
    let drifts = stack.finished_detection(ctx.now).into_iter().flat_map(|detection| detection.resources.values());
    let is_wanted = |drift: &&model::StackResourceDrift| {
        let status = drift.stack_resource_drift_status.as_deref();
        filter.is_empty() || filter.iter().any(|wanted| Some(wanted.as_str()) == status)
    };
    let max = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(100);
    let token = input.next_token;
    let (found, next_token) = page(ctx, drifts.filter(is_wanted), token.as_deref(), Some(max), invalid_token)?;
    Ok(wire::serialize_describe_stack_resource_drifts_response(&model::DescribeStackResourceDriftsOutput {
        stack_resource_drifts: Some(model::StackResourceDrifts { items: found.into_iter().cloned().collect() }),
        next_token,
    }))
}
