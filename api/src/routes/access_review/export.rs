//! Export of the whole access review as NDJSON or CSV.

use std::sync::Arc;

use axum::http::Version;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use freehold_tenancy::AccessGrantId;
use freehold_tenancy::db::access_grants::{self, AccessFilter};

use super::{AccessEntry, roles};
use crate::app::App;
use crate::export::{self, BATCH_ROWS};
use crate::problem::ApiError;
use crate::routes::account_mappings::csv::write_csv_row;
use crate::routes::account_mappings::format::Format;

/// Names of the CSV columns.
const COLUMNS: [&str; 27] = [
    "id",
    "kind",
    "tenant_id",
    "company_name",
    "environment_id",
    "environment",
    "aws_account_id",
    "permission_set",
    "arn",
    "principal_kind",
    "principal_id",
    "principal_name",
    "principal_members",
    "source",
    "granted_at",
    "operation_id",
    "operation_kind",
    "requested_by",
    "requested_at",
    "approval_action",
    "approved_by",
    "approved_at",
    "observed_at",
    "finding_id",
    "finding_kind",
    "ended_at",
    "ended_by",
];

pub(super) fn respond(app: &App, version: Version, format: Format, filter: AccessFilter) -> Result<Response, ApiError> {
    let mut head = Vec::new();
    if format == Format::Csv {
        write_csv_row(&mut head, COLUMNS);
    }
    let (pool, context) = (app.pool.clone(), Arc::new((roles(&app.config), filter)));
    export::respond(app, version, format.media_type(), head, None::<AccessGrantId>, move |after| {
        let (pool, context) = (pool.clone(), Arc::clone(&context));
        async move {
            let (roles, filter) = &*context;
            let entries = access_grants::list(&pool, roles, filter, after, BATCH_ROWS).await?;
            let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(None) };
            let mut batch = Vec::new();
            for entry in entries {
                write_row(&mut batch, format, &entry.into());
            }
            Ok(Some((batch, Some(last))))
        }
    })
}

fn write_row(out: &mut Vec<u8>, format: Format, entry: &AccessEntry) {
    if format == Format::NdJson {
        if serde_json::to_writer(&mut *out, entry).is_ok() {
            out.push(b'\n');
        }
        return;
    }
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let optional_time = |at: Option<DateTime<Utc>>| at.map(time).unwrap_or_default();
    let (operation, approval) = (entry.operation.as_ref(), entry.approval.as_ref());
    let members = entry.principal.members.map(|members| members.to_string()).unwrap_or_default();
    let (granted_at, requested_at) = (time(entry.granted_at), optional_time(operation.map(|one| one.requested_at)));
    let approved_at = optional_time(approval.map(|one| one.approved_at));
    let (observed_at, ended_at) = (optional_time(entry.observed_at), optional_time(entry.ended_at));
    let row: [&str; COLUMNS.len()] = [
        &entry.id,
        &entry.kind,
        &entry.tenant_id,
        &entry.company_name,
        &entry.environment_id,
        &entry.environment,
        &entry.aws_account_id,
        &entry.permission_set,
        &entry.arn,
        &entry.principal.kind,
        &entry.principal.id,
        entry.principal.name.as_deref().unwrap_or_default(),
        &members,
        &entry.source,
        &granted_at,
        operation.map_or("", |one| one.id.as_str()),
        operation.map_or("", |one| one.kind.as_str()),
        operation.map_or("", |one| one.requested_by.as_str()),
        &requested_at,
        approval.map_or("", |one| one.action.as_str()),
        approval.map_or("", |one| one.approved_by.as_str()),
        &approved_at,
        &observed_at,
        entry.finding.as_ref().map_or("", |one| one.id.as_str()),
        entry.finding.as_ref().map_or("", |one| one.kind.as_str()),
        &ended_at,
        entry.ended_by.as_deref().unwrap_or_default(),
    ];
    write_csv_row(out, row);
}
