//! Page `index.html` of a support bundle. It has no scripts and loads nothing.

use std::io;

use askama::Template;
use chrono::{DateTime, Utc};
use freehold_tenancy::attention::{AttentionCode, Remedy};
use freehold_tenancy::audit::{AuditKind, AuditResult};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::support_bundle::{
    BundleAttention, BundleAuditEntry, BundleOperation, BundleStep, Identifier, SupportBundle,
};

use super::contents::{FILES, LEFT_OUT};

#[derive(Template)]
#[template(path = "support_bundle.html")]
struct Page<'a> {
    operation: &'a BundleOperation,
    read_at: String,
    created_at: String,
    state: &'static str,
    account: String,
    region: String,
    cause: Option<Cause>,
    steps: Vec<StepRow>,
    requests: Vec<RequestRow>,
    files: [(&'static str, &'static str); FILES.len()],
    left_out: [(&'static str, &'static str); LEFT_OUT.len()],
}

/// Reason why the operation needs attention or has failed.
struct Cause {
    title: &'static str,
    code: &'static str,
    tell_customer: &'static str,
    advice: Vec<String>,
    aws_request_id: String,
}

/// Row of the table of steps.
struct StepRow {
    name: &'static str,
    state: &'static str,
    attempts: i32,
    started_at: String,
    finished_at: String,
    code: &'static str,
    aws_request_id: String,
}

/// Row of the table of AWS requests that did not succeed.
struct RequestRow {
    at: String,
    action: String,
    account: String,
    code: String,
    aws_request_id: String,
}

/// Returns the page of a bundle that was read at `read_at`.
pub(super) fn render(bundle: &SupportBundle, read_at: DateTime<Utc>) -> io::Result<Vec<u8>> {
    let operation = &bundle.operation;
    let cause = operation.attention.as_ref().or(operation.failure.as_ref());
    let page = Page {
        operation,
        read_at: time(Some(read_at)),
        created_at: time(Some(operation.created_at)),
        state: state_in_words(operation.state),
        account: operation.aws_account_id.as_ref().map_or_else(none, ToString::to_string),
        region: operation.home_region.map_or_else(none, |region| region.to_string()),
        cause: cause.map(|cause| cause_of(operation, cause)),
        steps: bundle.steps.iter().map(step_row).collect(),
        requests: bundle.audit_entries.iter().filter_map(request_row).collect(),
        files: FILES,
        left_out: LEFT_OUT,
    };
    page.render().map(String::into_bytes).map_err(io::Error::other)
}

fn state_in_words(state: OperationState) -> &'static str {
    match state {
        OperationState::Pending => "was accepted and has not started yet",
        OperationState::Running => "is running, or waits for AWS, and continues by itself",
        OperationState::NeedsAttention => "needs attention: a person must act",
        OperationState::Succeeded => "has succeeded",
        OperationState::Failed => "has failed",
        OperationState::Canceled => "was cancelled",
    }
}

fn cause_of(operation: &BundleOperation, cause: &BundleAttention) -> Cause {
    let mut advice: Vec<_> = cause.remedies.iter().map(|remedy| advice(*remedy, operation)).collect();
    if advice.is_empty() {
        advice.push("Find the code in docs/support.md, fix the cause, and request the operation again.".to_owned());
    }
    Cause {
        title: cause.title,
        code: cause.code.map_or("unknown", AttentionCode::as_str),
        tell_customer: cause.tell_customer,
        advice,
        aws_request_id: identifier(cause.aws_request_id.as_ref()),
    }
}

fn advice(remedy: Remedy, operation: &BundleOperation) -> String {
    let id = operation.id;
    match remedy {
        Remedy::Retry => {
            format!("Retry, after the cause is fixed as docs/support.md says: freehold operations retry {id}")
        }
        Remedy::Correct => format!(
            "Correct the e-mail address of the AWS account (needs approval): freehold operations retry {id} \
             --account-email ADDRESS"
        ),
        Remedy::Adopt => {
            format!("Adopt an existing account (needs approval): freehold operations adopt {id} --account ACCOUNT")
        }
        Remedy::Approve => {
            format!("Let another person approve the request: freehold operations approve {id} --request-hash HASH")
        }
        Remedy::Cancel => format!("Cancel, which undoes the completed steps: freehold operations cancel {id}"),
    }
}

fn step_row(step: &BundleStep) -> StepRow {
    let aws_request_id = step.last_error_aws_request_id.as_ref().or(step.attention_aws_request_id.as_ref());
    StepRow {
        name: step.name.map_or("unknown", |name| name.as_str()),
        state: step.state.as_str(),
        attempts: step.attempts,
        started_at: time(step.started_at),
        finished_at: time(step.finished_at),
        code: step.attention_code.map_or("–", AttentionCode::as_str),
        aws_request_id: identifier(aws_request_id),
    }
}

/// Returns the row of an AWS request that did not succeed, and `None` for other entries of the audit trail.
fn request_row(entry: &BundleAuditEntry) -> Option<RequestRow> {
    if entry.kind != Some(AuditKind::AwsCall) || entry.result == Some(AuditResult::Succeeded) {
        return None;
    }
    Some(RequestRow {
        at: time(entry.at),
        action: identifier(entry.action.as_ref()),
        account: entry.aws_account_id.as_ref().map_or_else(none, ToString::to_string),
        code: identifier(entry.code.as_ref()),
        aws_request_id: identifier(entry.aws_request_id.as_ref()),
    })
}

fn identifier(identifier: Option<&Identifier>) -> String {
    identifier.map_or_else(none, |identifier| identifier.as_str().to_owned())
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(none, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Returns the text of a missing value.
fn none() -> String {
    "–".to_owned()
}
