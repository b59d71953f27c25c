//! Export of all account mappings for billing, as NDJSON or CSV with the column names of FOCUS 1.2.
//!
//! The output of PostgreSQL's `COPY` is streamed, so that the whole export is never in memory.

use std::io;

use axum::Extension;
use axum::body::Body;
use axum::http::{Version, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::account_mappings::{self, ExportedMapping, Snapshot};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::csv::write_csv_row;
use super::format::Format;
use crate::app::App;
use crate::export;
use crate::problem::ApiError;
use crate::routes::schema::tenant_view::ACCOUNT_MAPPING_ROW;
use crate::tenant_view::TenantViewApplied;

/// Maximum number of chunks that are buffered for a slow client.
const CHANNEL_CAPACITY: usize = 4;

/// Empty chunk that marks the end of a complete export.
const END_OF_STREAM: Vec<u8> = Vec::new();

/// Account mapping with the column names of FOCUS 1.2; custom columns start with `x_`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = AccountMappingRow)]
pub(crate) struct Row<'a> {
    /// Management account of the organisation; AWS bills this account.
    #[schema(example = "111122223333")]
    billing_account_id: &'a str,
    /// AWS account of the environment.
    #[schema(example = "444455556666")]
    sub_account_id: &'a str,
    /// Name that Freehold gave the account; `null` for an adopted account.
    #[schema(required = true, example = "Example GmbH env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    sub_account_name: Option<&'a str>,
    /// Tenant that the account belongs to.
    #[serde(rename = "x_TenantId")]
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    tenant_id: &'a str,
    /// Id of the tenant in the systems of the SaaS; `null` if none was given.
    #[serde(rename = "x_ExternalId")]
    #[schema(required = true, example = "customer-4711")]
    external_id: Option<&'a str>,
    /// Name of the environment.
    #[serde(rename = "x_Environment")]
    #[schema(example = "production")]
    environment: &'a str,
    /// Commercial plan of the tenant.
    #[serde(rename = "x_Tier")]
    #[schema(example = "standard")]
    tier: &'a str,
    /// Home region of the environment.
    #[serde(rename = "x_HomeRegion")]
    #[schema(example = "eu-central-1")]
    home_region: &'a str,
    /// Start of the mapping.
    #[serde(rename = "x_EffectiveFrom")]
    #[schema(example = "2026-10-31T00:00:00Z")]
    effective_from: &'a str,
    /// End of the mapping; `null` while the account belongs to the environment.
    #[serde(rename = "x_EffectiveTo")]
    #[schema(required = true)]
    effective_to: Option<&'a str>,
    /// `active` while the account belongs to the environment, then `released`.
    #[serde(rename = "x_Status")]
    #[schema(example = "active")]
    status: &'static str,
    /// Replica regions of the environment, separated by spaces; `null` if it has none.
    #[serde(rename = "x_ReplicaRegions")]
    #[schema(required = true, example = "eu-west-1")]
    replica_regions: Option<&'a str>,
    /// Company name of the tenant; `null` if it was erased.
    #[serde(rename = "x_CompanyName")]
    #[schema(required = true, example = "Example GmbH")]
    company_name: Option<&'a str>,
    /// State of the account, as in the JSON list.
    #[serde(rename = "x_AccountState")]
    #[schema(example = "in_use")]
    account_state: &'a str,
    /// Time at which Freehold first saw the account in this state; `null` while it is `in_use` or `unknown`.
    #[serde(rename = "x_AccountStateSince")]
    #[schema(required = true)]
    account_state_since: Option<&'a str>,
    /// Time at which Freehold last saw the account in this state; `null` while it is `in_use` or `unknown`.
    #[serde(rename = "x_AccountSeenAt")]
    #[schema(required = true)]
    account_seen_at: Option<&'a str>,
}

/// Names of the CSV columns.
const COLUMNS: [&str; 16] = [
    "BillingAccountId",
    "SubAccountId",
    "SubAccountName",
    "x_TenantId",
    "x_ExternalId",
    "x_Environment",
    "x_Tier",
    "x_HomeRegion",
    "x_EffectiveFrom",
    "x_EffectiveTo",
    "x_Status",
    "x_ReplicaRegions",
    "x_CompanyName",
    "x_AccountState",
    "x_AccountStateSince",
    "x_AccountSeenAt",
];

/// Format of the exported rows.
#[derive(Debug, Clone, Copy)]
struct RowFormat {
    format: Format,
    /// True if the rows contain only the fields that a token of one tenant sees.
    is_restricted: bool,
}

impl Row<'_> {
    /// Returns the fields in the order of the CSV columns.
    fn columns(&self) -> [&str; 16] {
        [
            self.billing_account_id,
            self.sub_account_id,
            self.sub_account_name.unwrap_or_default(),
            self.tenant_id,
            self.external_id.unwrap_or_default(),
            self.environment,
            self.tier,
            self.home_region,
            self.effective_from,
            self.effective_to.unwrap_or_default(),
            self.status,
            self.replica_regions.unwrap_or_default(),
            self.company_name.unwrap_or_default(),
            self.account_state,
            self.account_state_since.unwrap_or_default(),
            self.account_seen_at.unwrap_or_default(),
        ]
    }
}

/// Responds with all account mappings. If the export fails halfway, the connection is aborted, so that the client
/// detects an incomplete export.
///
/// `is_restricted` limits the rows to the fields that a token of one tenant sees.
pub(super) fn respond(
    app: &App,
    version: Version,
    format: Format,
    is_restricted: bool,
    snapshot: Snapshot,
) -> Result<Response, ApiError> {
    let permit = export::admit(app, version)?;
    let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
    let (pool, billing_account) = (app.pool.clone(), app.config.organization.management_account_id.to_string());
    let row_format = RowFormat { format, is_restricted };
    tokio::spawn(async move {
        let _permit = permit;
        if format == Format::Csv {
            let mut header = Vec::new();
            row_format.write_csv(&mut header, COLUMNS);
            if sender.send(Ok(header)).await.is_err() {
                return;
            }
        }
        let write = |out: &mut Vec<u8>, mapping: &ExportedMapping<'_>| {
            row_format.write(out, mapping, &billing_account);
        };
        let last_chunk = match account_mappings::export(&pool, &snapshot, write, &sender).await {
            Ok(true) => Ok(END_OF_STREAM),
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%error, "an export of account mappings failed");
                Err(error)
            }
        };
        _ = sender.send(last_chunk).await;
    });
    let chunks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(end)) if end == END_OF_STREAM => None,
            Some(Ok(chunk)) => Some((Ok(chunk), Some(receiver))),
            Some(Err(error)) => Some((Err(io::Error::other(error)), None)),
            None => Some((Err(io::Error::other("the export failed")), None)),
        }
    });
    let headers = [(header::CONTENT_TYPE, format.media_type())];
    Ok((Extension(TenantViewApplied), headers, Body::from_stream(chunks)).into_response())
}

/// Converts a time of PostgreSQL in UTC to the form of FOCUS, whole seconds in ISO 8601. Parts of a second are cut off
/// at both ends of a mapping, so that mappings that follow each other still neither overlap nor leave a gap.
fn focus_time(time: &str) -> String {
    let seconds = time.split_once('.').map_or(time, |(seconds, _)| seconds);
    let (day, time) = seconds.split_once(' ').unwrap_or((seconds, "00:00:00"));
    [day, "T", time, "Z"].concat()
}

impl RowFormat {
    fn write(self, out: &mut Vec<u8>, mapping: &ExportedMapping<'_>, billing_account_id: &str) {
        let (from, to) = (focus_time(mapping.valid_from), mapping.valid_to.map(focus_time));
        let state_since = mapping.account_state_since.map(focus_time);
        let seen_at = mapping.account_seen_at.map(focus_time);
        let row = Row {
            billing_account_id,
            sub_account_id: mapping.aws_account_id,
            sub_account_name: mapping.account_name,
            tenant_id: &mapping.tenant_id.to_string(),
            external_id: mapping.external_id,
            environment: mapping.environment,
            tier: mapping.tier,
            home_region: mapping.home_region,
            effective_from: &from,
            effective_to: to.as_deref(),
            status: if to.is_some() { "released" } else { "active" },
            replica_regions: mapping.replica_regions,
            company_name: mapping.company_name,
            account_state: mapping.account_state,
            account_state_since: state_since.as_deref(),
            account_seen_at: seen_at.as_deref(),
        };
        if self.format == Format::Csv {
            return self.write_csv(out, row.columns());
        }
        let is_written = if self.is_restricted {
            let row = serde_json::to_value(&row).map(|row| ACCOUNT_MAPPING_ROW.restrict(row));
            row.and_then(|row| serde_json::to_writer(&mut *out, &row)).is_ok()
        } else {
            serde_json::to_writer(&mut *out, &row).is_ok()
        };
        if is_written {
            out.push(b'\n');
        }
    }

    fn write_csv(self, out: &mut Vec<u8>, fields: [&str; 16]) {
        let is_visible = |name| !self.is_restricted || ACCOUNT_MAPPING_ROW.visible.contains(name);
        write_csv_row(out, COLUMNS.iter().zip(fields).filter(|(name, _)| is_visible(name)).map(|(_, field)| field));
    }
}
